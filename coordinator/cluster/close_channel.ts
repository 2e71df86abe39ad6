/**
 * Ends a gRPC client with all that it has begun. grpc-js 1.14.7 leaves behind a channel that is closed before it is connected:
 * the attempt to connect, a pause and one more attempt, a timer between addresses, and a whole new connection where the
 * address was still being looked up. All that is in private fields, as in `worker/rpc/call_internals.ts`.
 *
 * @module
 */

import type { Client } from "@grpc/grpc-js";
import { clearTimeout } from "node:timers";

interface Pause {
  runOnce(): void;
  stop(): void;
}

/** One address of a channel: what connects to it, and the pause before it is tried again. */
interface Subchannel {
  readonly backoffTimeout?: Pause;
  readonly connector?: {
    createSession?(connected: { readonly socket: { destroy(): void } }): Promise<never>;
    shutdown(): void;
  };
}

interface LoadBalancer {
  readonly connectionDelayTimeout?: Parameters<typeof clearTimeout>[0];
}

/** Of a channel with a pool of its own (`grpc.use_local_subchannel_pool`). */
interface ChannelInternals {
  readonly resolvingLoadBalancer?: {
    readonly childLoadBalancer?: {
      readonly currentChild: LoadBalancer | null;
      updateAddressList(): boolean;
    };
  };
  readonly subchannelPool?: {
    readonly pool?: Readonly<Record<string, readonly { readonly subchannel: Subchannel }[]>>;
  };
}

/**
 * Closes the client; calls that wait for the connection fail.
 *
 * @returns whether all that it had begun is ended, too
 */
export function closeChannel(client: Client): boolean {
  const { internalChannel } = client.getChannel() as {
    readonly internalChannel?: ChannelInternals;
  };
  const balancer = internalChannel?.resolvingLoadBalancer?.childLoadBalancer;
  const pool = internalChannel?.subchannelPool?.pool;
  const timer = balancer?.currentChild?.connectionDelayTimeout;
  const subchannels = Object.values(pool ?? {}).flat().map(({ subchannel }) => subchannel);
  client.close();
  if (!balancer || !pool) return false;
  // An answer to the look-up of the address may still come, and would begin to connect.
  balancer.updateAddressList = () => true;
  clearTimeout(timer);
  return subchannels.every(endSubchannel);
}

function endSubchannel({ backoffTimeout, connector }: Subchannel): boolean {
  if (!backoffTimeout || !connector) return false;
  backoffTimeout.stop();
  // An attempt that was to begin in this turn of the event loop ends in a pause.
  backoffTimeout.runOnce = () => {};
  // A socket that connects only now would stay open.
  connector.createSession = ({ socket }) => {
    socket.destroy();
    return Promise.reject(new Error("The client is closed"));
  };
  connector.shutdown();
  return true;
}
