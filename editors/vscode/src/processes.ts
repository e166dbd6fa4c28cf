// Runs commands and sees what they say.
import { spawn } from 'node:child_process';
import type { Outcome } from './discovery';

/** Runs a command to its end in the folder `cwd`. Rejects if it cannot be started or takes longer than `seconds`. */
export function run(
  command: string,
  args: string[],
  options: { cwd: string; env?: Record<string, string>; seconds?: number; said?: (text: string) => void },
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Windows runs .cmd and .bat files only through a shell; none of the arguments come from the workspace.
      shell: process.platform === 'win32' && /\.(cmd|bat)$/i.test(command),
    });
    const seconds = options.seconds ?? 30;
    const timer = setTimeout(() => {
      child.kill();
      reject(new Error(`it did not answer within ${seconds} seconds`));
    }, seconds * 1000);
    const heard = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        heard[name] += text;
        options.said?.(text);
      });
    }
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({ status, ...heard });
    });
  });
}
