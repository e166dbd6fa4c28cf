// How often a server that has crashed is started again.

const MOST = 5;
const MINUTES = 3;

export class Crashes {
  private times: number[] = [];

  /** Whether to start it once more after a crash at `now`, in milliseconds. */
  mayRestart(now: number): boolean {
    this.times = [...this.times, now].filter((time) => now - time < MINUTES * 60_000);
    return this.times.length < MOST;
  }

  /** The user has asked for a server: what was does not count any more. */
  forget(): void {
    this.times = [];
  }
}
