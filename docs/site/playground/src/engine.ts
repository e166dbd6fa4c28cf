// gradls, as the page sees it: questions to the worker and their answers.
import type { Answers, Question, Reply } from './protocol';

const PATIENCE = 60_000;

interface Waiting {
  resolve: (answer: never) => void;
  reject: (error: Error) => void;
  timer: number;
}

export class Engine {
  private worker: Worker | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;
  private ready = false;

  constructor(private readonly address: URL, private readonly status: (text: string, failed: boolean) => void) {
    this.started();
  }

  /** An answer of `Engine` in engine.py. Fails with what Python says, or when it takes too long: then Python is started
   * anew, and knows nothing of what it was told before. */
  ask<A extends keyof Answers>(ask: A, ...given: (string | number)[]): Promise<Answers[A]> {
    const worker = this.started();
    const question: Question = { id: ++this.count, ask, with: given };
    return new Promise((resolve, reject) => {
      this.waiting.set(question.id, { resolve, reject, timer: 0 });
      this.watch();
      worker.postMessage(question);
    });
  }

  private started(): Worker {
    if (!this.worker) {
      this.worker = new Worker(this.address, { type: 'module' });
      this.worker.onmessage = (event: MessageEvent<Reply>) => { this.heard(event.data); };
      this.worker.onerror = (event) => {
        this.restart(event.message || 'the worker that runs Python could not be loaded');
      };
    }
    return this.worker;
  }

  /** Whoever waits longest gets some time from now on; loading may take as long as the network takes. */
  private watch(): void {
    const [first] = this.waiting.values();
    if (first && !first.timer && this.ready) {
      first.timer = window.setTimeout(() => { this.restart('this takes too long'); }, PATIENCE);
    }
  }

  private heard(reply: Reply): void {
    if ('status' in reply) {
      this.ready = reply.status === '';
      this.status(reply.status, reply.status.includes('could not'));
    } else {
      const waiting = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      window.clearTimeout(waiting?.timer);
      if ('answer' in reply) {
        waiting?.resolve(JSON.parse(reply.answer) as never);
      } else {
        waiting?.reject(new Error(reply.failure));
        if (!reply.failure.startsWith('Traceback')) {
          this.restart(reply.failure); // not a mistake of Python, but the end of it
        }
      }
    }
    this.watch();
  }

  private restart(why: string): void {
    this.worker?.terminate();
    this.worker = undefined;
    this.ready = false;
    for (const { reject, timer } of this.waiting.values()) {
      window.clearTimeout(timer);
      reject(new Error(why));
    }
    this.waiting.clear();
  }
}
