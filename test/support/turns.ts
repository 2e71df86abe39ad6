/**
 * Lets turns of the event loop pass, in each of which all is done that is to be done: timers that are due, and what has come
 * over sockets. Where all parties are in this process, what no turn brings is not on its way.
 */
export async function turns(count = 1): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setTimeout(resolve));
}
