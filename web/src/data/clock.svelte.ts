// One clock for all relative times, so that they turn together.

class Clock {
  /** Unix seconds, whole. */
  now = $state(Math.floor(Date.now() / 1000));

  /** Ticks each second until the returned function is called. */
  run(): () => void {
    const timer = setInterval(() => (this.now = Math.floor(Date.now() / 1000)), 1000);
    return () => clearInterval(timer);
  }
}

export const clock = new Clock();
