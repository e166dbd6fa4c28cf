import assert from 'node:assert/strict';
import * as path from 'node:path';
import { test } from 'node:test';
import { discover, findCommand, isOlder, type Outcome, type World } from '../src/discovery';

const FINE: Outcome = { status: 0, stdout: 'gradls 0.1.0\n', stderr: '' };
const NOT_INSTALLED: Outcome = { status: 1, stdout: '', stderr: '/env/bin/python: No module named gradls\n' };

interface Machine extends Partial<Omit<World, 'run' | 'interpreter'>> {
  /** What each command answers; others cannot be run. */
  answers?: Record<string, Outcome>;
  /** The files that there are besides the commands that answer. */
  files?: string[];
  python?: string;
}

function machine(given: Machine): World & { runs: string[]; environments: Record<string, string>[] } {
  const answers = given.answers ?? {};
  const files = new Set([...Object.keys(answers), ...(given.files ?? [])]);
  const runs: string[] = [];
  const environments: Record<string, string>[] = [];
  return {
    setting: '',
    trusted: true,
    folders: ['/project'],
    bundled: '/extension/bundled',
    searchPath: ['/usr/bin', '/bin'],
    windows: false,
    isFile: (file) => files.has(file),
    isFolder: () => false,
    ...given,
    interpreter: () => Promise.resolve(given.python === undefined ? { why: 'None is selected.' } : { python: given.python }),
    run: (command, args, env) => {
      runs.push([command, ...args].join(' '));
      environments.push(env);
      const answer = answers[command];
      return answer === undefined ? Promise.reject(new Error('spawn ENOENT')) : Promise.resolve(answer);
    },
    runs,
    environments,
  };
}

const EVERYWHERE: Machine = {
  setting: '/set/gradls',
  python: '/env/bin/python',
  isFolder: () => true,
  answers: { '/set/gradls': FINE, '/env/bin/python': FINE, '/usr/bin/python3': FINE, '/usr/bin/gradls': FINE },
};

test('the setting comes first, then the environment, the bundled copy and the PATH', async () => {
  const without = (...commands: string[]): Record<string, Outcome> =>
    Object.fromEntries(Object.entries(EVERYWHERE.answers ?? {}).filter(([command]) => !commands.includes(command)));
  const found = async (changes: Machine): Promise<string | undefined> =>
    (await discover(machine({ ...EVERYWHERE, ...changes }))).server?.place;

  assert.equal(await found({}), 'setting');
  assert.equal(await found({ setting: '' }), 'environment');
  assert.equal(await found({ setting: '', python: undefined }), 'bundled');
  assert.equal(await found({ setting: '', python: undefined, isFolder: () => false }), 'path');
  assert.equal(await found({ setting: '', python: undefined, isFolder: () => false, answers: without('/usr/bin/gradls') }), undefined);
});

test('each is started as the server that it is', async () => {
  const environment = await discover(machine({ ...EVERYWHERE, setting: '' }));
  assert.deepEqual(environment.server, {
    place: 'environment',
    command: '/env/bin/python',
    args: ['-m', 'gradls', 'server'],
    env: { PYTHONSAFEPATH: '1' },
    version: '0.1.0',
  });
  const bundled = await discover(machine({ ...EVERYWHERE, setting: '', python: undefined }));
  assert.equal(bundled.server?.command, '/usr/bin/python3');
  assert.equal(bundled.server.env.PYTHONPATH, '/extension/bundled');
  const onPath = await discover(machine({ answers: { '/usr/bin/gradls': FINE } }));
  assert.deepEqual([onPath.server?.command, onPath.server?.args], ['/usr/bin/gradls', ['server']]);
});

test('a setting that is wrong is complained about and not replaced', async () => {
  const world = machine({ ...EVERYWHERE, setting: '/gone/gradls' });
  const { server, misses } = await discover(world);
  assert.equal(server, undefined);
  assert.deepEqual(misses, [{ place: 'setting', why: 'The setting gradls.path says `/gone/gradls`, and there is no such command.' }]);
  assert.deepEqual(world.runs, []);
});

test('a setting may be a name on the PATH', async () => {
  const { server } = await discover(machine({ setting: 'gradls', answers: { '/bin/gradls': FINE } }));
  assert.deepEqual([server?.place, server?.command], ['setting', '/bin/gradls']);
});

test('without trust nothing of the workspace is run', async () => {
  const world = machine({
    ...EVERYWHERE,
    setting: '',
    trusted: false,
    isFolder: () => false,
    searchPath: ['/project/bin', 'relative', '/usr/bin'],
    answers: { ...EVERYWHERE.answers, '/project/bin/gradls': FINE },
    files: ['relative/gradls'],
  });
  const { server, misses } = await discover(world);
  assert.equal(server?.command, '/usr/bin/gradls');
  assert.deepEqual(world.runs, ['/usr/bin/gradls --version']);
  assert.match(misses[0]?.why ?? '', /not trusted/);
});

test('what is missing is said plainly', async () => {
  const why = async (answer: Outcome | undefined): Promise<string> => {
    const answers = answer === undefined ? undefined : { '/env/bin/python': answer };
    const { misses } = await discover(machine({ python: '/env/bin/python', ...(answers && { answers }) }));
    return misses[0]?.why ?? '';
  };
  assert.equal(await why(NOT_INSTALLED), 'gradls is not installed in the selected environment (`/env/bin/python`).');
  assert.equal(
    await why({ ...FINE, stdout: 'gradls 0.0.9\n' }),
    'The selected environment (`/env/bin/python`) has gradls 0.0.9; this extension needs 0.1.0 or newer.',
  );
  assert.equal(await why(undefined), 'The selected environment (`/env/bin/python`) cannot be run: spawn ENOENT');
  assert.equal(
    await why({ status: 1, stdout: '', stderr: 'Traceback\nImportError: no pygls\n' }),
    'The selected environment (`/env/bin/python`) does not run gradls: ImportError: no pygls',
  );
});

test('all places that were looked at are told', async () => {
  const { misses } = await discover(machine({ python: '/env/bin/python', answers: { '/env/bin/python': NOT_INSTALLED } }));
  assert.deepEqual(misses.map((miss) => miss.place), ['environment', 'bundled', 'path']);
});

test('Windows has other names for commands', () => {
  const file = path.join('/tools', 'gradls.exe');
  const world = { searchPath: ['/tools'], trusted: true, folders: [], windows: true, isFile: (each: string) => each === file };
  assert.equal(findCommand('gradls', world), file);
});

test('versions are compared as numbers', () => {
  assert.deepEqual(
    [['0.1.0', '0.1.0'], ['0.0.9', '0.1.0'], ['0.10.0', '0.9.9'], ['0.1.0rc1', '0.1.0'], ['1.0.0', '0.9.0']].map(
      ([one = '', other = '']) => isOlder(one, other),
    ),
    [false, true, false, false, false],
  );
});
