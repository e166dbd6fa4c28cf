import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Crashes } from '../src/crashes';

const MINUTE = 60_000;

test('a server that crashes is started again, but not five times within three minutes', () => {
  const crashes = new Crashes();
  assert.deepEqual([0, 1, 2, 3, 4].map((second) => crashes.mayRestart(second * 1000)), [true, true, true, true, false]);
});

test('one that crashes now and then is always started again', () => {
  const crashes = new Crashes();
  assert.ok([0, 1, 2, 3, 4, 5, 6, 7].every((minute) => crashes.mayRestart(minute * MINUTE)));
});

test('who asks for a server gets one', () => {
  const crashes = new Crashes();
  [0, 1, 2, 3, 4].forEach((second) => crashes.mayRestart(second * 1000));
  crashes.forget();
  assert.ok(crashes.mayRestart(5000));
});
