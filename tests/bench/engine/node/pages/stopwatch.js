/**
 * Both clocks, in milliseconds: the wall's, and the processor's. That is the time of the page's busiest thread, since the
 * others compile wasm, and of all threads of the graphics process.
 */
export class Stopwatch {
  constructor() {
    this.lap();
  }

  /** What passed since the last call. Synchronous, since a streamer cannot wait; asking the server is not counted. */
  lap() {
    const clock_ms = performance.now();
    const threads = processorTimes();
    const before = new Map(this.threads?.map(each => [each.id, each.cpu_ms]));
    const worked = graphics =>
      threads.filter(each => each.graphics === graphics).map(each => each.cpu_ms - (before.get(each.id) ?? 0));
    const cpu_ms = Math.max(...worked(false)) + worked(true).reduce((sum, each) => sum + each, 0);
    const took = { clock_ms: clock_ms - this.clock_ms, cpu_ms };
    this.threads = threads;
    this.clock_ms = performance.now();
    return took;
  }
}

function processorTimes() {
  const asked = new XMLHttpRequest();
  asked.open("GET", "/processor-time", false);
  asked.send();
  return JSON.parse(asked.responseText);
}
