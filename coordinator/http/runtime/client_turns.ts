/** Whose job comes next: clients take turns, one job each; a client's own jobs keep their order. Pure. @module */

interface Waiting<Item> {
  readonly client: string;
  readonly items: Item[];
}

export class ClientTurns<Item> {
  /** Clients with something that waits; the first one's turn is next. */
  readonly #clients: Waiting<Item>[] = [];

  get size(): number {
    return this.#clients.reduce((sum, { items }) => sum + items.length, 0);
  }

  /** How many of a client wait. */
  sizeOf(client: string): number {
    return this.#find(client)?.items.length ?? 0;
  }

  push(client: string, item: Item): void {
    const waiting = this.#find(client);
    if (waiting) waiting.items.push(item);
    else this.#clients.push({ client, items: [item] });
  }

  /** Takes the next one; its client goes to the end. */
  next(): Item | undefined {
    const waiting = this.#clients.shift();
    if (!waiting) return undefined;
    const item = waiting.items.shift()!;
    if (waiting.items.length > 0) this.#clients.push(waiting);
    return item;
  }

  /** @returns whether it waited */
  remove(client: string, item: Item): boolean {
    const waiting = this.#find(client);
    const index = waiting?.items.indexOf(item) ?? -1;
    if (!waiting || index < 0) return false;
    waiting.items.splice(index, 1);
    if (waiting.items.length === 0) this.#clients.splice(this.#clients.indexOf(waiting), 1);
    return true;
  }

  /** How many come before it as things stand; undefined if it does not wait. */
  position(client: string, item: Item): number | undefined {
    const place = this.#clients.findIndex((each) => each.client === client);
    const own = this.#clients[place]?.items.indexOf(item) ?? -1;
    if (own < 0) return undefined;
    // In each round before its own every other client has one turn; in its own only those whose turn is earlier.
    const others = this.#clients.map(({ items }, i) =>
      i === place ? own : Math.min(items.length, own + (i < place ? 1 : 0))
    );
    return others.reduce((sum, count) => sum + count, 0);
  }

  #find(client: string): Waiting<Item> | undefined {
    return this.#clients.find((each) => each.client === client);
  }
}
