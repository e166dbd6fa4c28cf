// Where the server is: the setting, the selected environment, the bundled copy, the PATH, in this order.
// Knows nothing of VS Code, so that the order can be tested without it.
import * as path from 'node:path';

export const OLDEST_SERVER = '0.1.0';

export type Place = 'setting' | 'environment' | 'bundled' | 'path';

/** How to start the server: `command` with `args`, and `env` besides the variables that there are. */
export interface Server {
  place: Place;
  command: string;
  args: string[];
  env: Record<string, string>;
  version: string;
}

/** A place where no usable server is, and why, as a sentence for the user. */
export interface Miss {
  place: Place;
  why: string;
}

export interface Discovered {
  server?: Server;
  misses: Miss[];
}

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** What the search needs to know of the world. */
export interface World {
  /** The setting `gradls.path`; empty if it is not set. */
  setting: string;
  trusted: boolean;
  /** The folders of the workspace: nothing in them is run unless the workspace is trusted. */
  folders: string[];
  /** The interpreter that is selected in the Python extension, or why there is none. */
  interpreter: () => Promise<{ python: string } | { why: string }>;
  /** The folder of the bundled copy, whether it exists or not. */
  bundled: string;
  /** The folders to look for commands in. */
  searchPath: string[];
  windows: boolean;
  isFile: (file: string) => boolean;
  isFolder: (folder: string) => boolean;
  /** Runs a command in a folder that is not the workspace's. Rejects if it cannot be started. */
  run: (command: string, args: string[], env: Record<string, string>) => Promise<Outcome>;
}

// Keeps the folder that a process runs in off Python's module path (from Python 3.11 on).
const SAFE = { PYTHONSAFEPATH: '1' };

export async function discover(world: World): Promise<Discovered> {
  const misses: Miss[] = [];
  if (world.setting !== '') {
    // What the user names is taken or complained about, never silently replaced.
    const found = await fromSetting(world);
    return 'why' in found ? { misses: [found] } : { server: found, misses };
  }
  for (const look of [fromEnvironment, fromBundle, fromPath]) {
    const found = await look(world);
    if (!('why' in found)) {
      return { server: found, misses };
    }
    misses.push(found);
  }
  return { misses };
}

async function fromSetting(world: World): Promise<Server | Miss> {
  const setting = world.setting;
  const command = path.isAbsolute(setting) ? setting : findCommand(setting, world);
  if (command === undefined || !world.isFile(command)) {
    return { place: 'setting', why: `The setting gradls.path says \`${setting}\`, and there is no such command.` };
  }
  return probe(world, { place: 'setting', command, args: [], env: {} }, `\`${command}\` (the setting gradls.path)`);
}

async function fromEnvironment(world: World): Promise<Server | Miss> {
  if (!world.trusted) {
    return { place: 'environment', why: 'The workspace is not trusted, so no Python of its own is run.' };
  }
  const found = await world.interpreter();
  if ('why' in found) {
    return { place: 'environment', why: found.why };
  }
  const candidate = { place: 'environment' as const, command: found.python, args: ['-m', 'gradls'], env: SAFE };
  return probe(world, candidate, `the selected environment (\`${found.python}\`)`);
}

async function fromBundle(world: World): Promise<Server | Miss> {
  if (!world.isFolder(world.bundled)) {
    return { place: 'bundled', why: 'This package of the extension brings no server along.' };
  }
  const selected = world.trusted ? await world.interpreter() : { why: '' };
  const python = 'python' in selected ? selected.python : (findCommand('python3', world) ?? findCommand('python', world));
  if (python === undefined) {
    return { place: 'bundled', why: 'The server in this extension needs Python, and none was found.' };
  }
  const env = { ...SAFE, PYTHONPATH: world.bundled };
  const candidate = { place: 'bundled' as const, command: python, args: ['-m', 'gradls'], env };
  return probe(world, candidate, 'the copy in this extension');
}

async function fromPath(world: World): Promise<Server | Miss> {
  const command = findCommand('gradls', world);
  if (command === undefined) {
    return { place: 'path', why: 'There is no command `gradls` on the PATH.' };
  }
  return probe(world, { place: 'path', command, args: [], env: {} }, `\`${command}\` (from the PATH)`);
}

/** Asks what is to be started for its version. */
async function probe(world: World, candidate: Omit<Server, 'version'>, name: string): Promise<Server | Miss> {
  const miss = (why: string): Miss => ({ place: candidate.place, why });
  let outcome: Outcome;
  try {
    outcome = await world.run(candidate.command, [...candidate.args, '--version'], candidate.env);
  } catch (error) {
    return miss(`${capital(name)} cannot be run: ${error instanceof Error ? error.message : String(error)}`);
  }
  const version = /^gradls (\d+\.\d+\.\d+\S*)/m.exec(outcome.stdout)?.[1];
  if (outcome.status !== 0 || version === undefined) {
    if (/No module named '?gradls/.test(outcome.stderr)) {
      return miss(`gradls is not installed in ${name}.`);
    }
    const last = outcome.stderr.trim().split('\n').pop() ?? '';
    return miss(`${capital(name)} does not run gradls${last === '' ? '.' : `: ${last}`}`);
  }
  if (isOlder(version, OLDEST_SERVER)) {
    return miss(`${capital(name)} has gradls ${version}; this extension needs ${OLDEST_SERVER} or newer.`);
  }
  return { ...candidate, args: [...candidate.args, 'server'], version };
}

/** Looks for a command as a shell would; not in relative folders, nor in those of a workspace that is not trusted. */
export function findCommand(name: string, world: Pick<World, 'searchPath' | 'trusted' | 'folders' | 'windows' | 'isFile'>): string | undefined {
  const names = world.windows ? [`${name}.exe`, `${name}.cmd`, `${name}.bat`] : [name];
  for (const folder of world.searchPath) {
    if (!path.isAbsolute(folder) || (!world.trusted && world.folders.some((each) => isWithin(folder, each)))) {
      continue;
    }
    const found = names.map((each) => path.join(folder, each)).find(world.isFile);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

export function isWithin(inner: string, outer: string): boolean {
  const way = path.relative(outer, inner);
  return way === '' || (!way.startsWith('..') && !path.isAbsolute(way));
}

export function isOlder(version: string, than: string): boolean {
  const parts = (text: string): number[] => text.split('.').slice(0, 3).map((part) => Number.parseInt(part, 10) || 0);
  const [ours, theirs] = [parts(version), parts(than)];
  const index = ours.findIndex((part, place) => part !== theirs[place]);
  return index >= 0 && (ours[index] ?? 0) < (theirs[index] ?? 0);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
