// Python in a worker: loads it with gradls' wheel, and answers questions one after the other. LibCST, which only fixes
// need, and grandalf, which only pictures need, are loaded when they are first asked for.
import type { Answers, Question, Reply } from './protocol';

interface Python {
  unpackArchive(data: ArrayBuffer, format: string, options: { extractDir: string }): void;
  runPython(code: string): unknown;
  FS: { mkdirTree(path: string): void; writeFile(path: string, text: string): void };
}

type Engine = Record<keyof Answers, (...given: (string | number)[]) => string>;

const LIBRARY = '/gradls';
const NEEDS: Partial<Record<keyof Answers, string>> = { fix: 'libcst.zip', fix_all: 'libcst.zip', picture: 'grandalf.zip' };
const unpacked = new Map<string, Promise<void>>();

const python = load();
const engine = python.then(start);
let last: Promise<unknown> = engine;
say({ status: 'Loading Python' });
engine.then(
  () => { say({ status: '' }); },
  (error: unknown) => { say({ status: `Python could not be loaded: ${said(error)}` }); },
);

self.onmessage = (event: MessageEvent<Question>) => {
  last = last.catch(() => undefined).then(() => reply(event.data));
};

async function load(): Promise<Python> {
  // @ts-expect-error Pyodide's own file, which lies beside this one.
  const { loadPyodide } = (await import('./pyodide/pyodide.mjs')) as { loadPyodide: (options: object) => Promise<Python> };
  const wheel = fetched('gradls.whl');
  const code = fetched('engine.py');
  const loaded = await loadPyodide({ env: { HOME: '/home/pyodide', LIBCST_PARSER_TYPE: 'pure' } });
  loaded.FS.mkdirTree(LIBRARY);
  loaded.unpackArchive(await wheel, 'zip', { extractDir: LIBRARY });
  loaded.FS.writeFile(`${LIBRARY}/playground_engine.py`, new TextDecoder().decode(await code));
  return loaded;
}

function start(loaded: Python): Engine {
  return loaded.runPython(`
import sys
sys.path.insert(0, "${LIBRARY}")
from playground_engine import Engine
Engine()
`) as Engine;
}

async function reply({ id, ask, with: given }: Question): Promise<void> {
  try {
    const needed = NEEDS[ask];
    if (needed) {
      await unpack(needed);
    }
    say({ id, answer: (await engine)[ask](...given) });
  } catch (error) {
    say({ id, failure: said(error) });
  }
}

function unpack(name: string): Promise<void> {
  let done = unpacked.get(name);
  if (!done) {
    done = Promise.all([python, fetched(name)]).then(([loaded, data]) => {
      loaded.unpackArchive(data, 'zip', { extractDir: LIBRARY });
      loaded.runPython('import importlib; importlib.invalidate_caches()');
    });
    unpacked.set(name, done);
    done.catch(() => unpacked.delete(name));
  }
  return done;
}

async function fetched(name: string): Promise<ArrayBuffer> {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) {
    throw new Error(`${name}: ${response.status}`);
  }
  return response.arrayBuffer();
}

function say(reply: Reply): void {
  self.postMessage(reply);
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
