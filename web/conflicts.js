// Decide under which name a new upload is sent if its name is taken: replace, keep both or skip.

import { numberedName } from './upload-names.js';

const NAMES_PER_REQUEST = 100;
const NUMBERS_PER_REQUEST = 10;

/**
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {'replace' | 'keep-both' | 'skip'} Choice
 * @typedef {{ choice: Choice, forAll: boolean }} Answer
 */

/**
 * @template Candidate
 * @typedef {object} World
 * @property {(names: string[]) => Promise<Map<string, Picture>>} find the uploads that exist, by name.
 * @property {(name: string) => boolean} isReserved whether another upload of this page is about to take the name.
 * @property {(conflict: Conflict<Candidate>, others: number) => Promise<Answer>} ask `others` is the number of conflicts
 *   that follow.
 * @property {(candidate: Candidate, name: string | null, replaces: boolean) => void} settle called once for each
 *   candidate, as soon as its name is decided; null means that it is skipped. `replaces`: the user chose to replace.
 */

/**
 * @template Candidate
 * @typedef {{ candidate: Candidate, picture: Picture | null }} Conflict `picture` is the upload that exists; null if the
 *   page does not know it, or if the name is taken by a file that is not sent yet.
 */

/**
 * Settle the names of new uploads. Those without a conflict do not wait for an answer.
 *
 * @template {{ name: string }} Candidate
 * @param {Candidate[]} candidates
 * @param {World<Candidate>} world
 */
export async function settleNames(candidates, world) {
  /** @type {Set<string>} */
  const taken = new Set();
  /** @type {Conflict<Candidate>[]} */
  const conflicts = [];
  for (const chunk of chunks(candidates, NAMES_PER_REQUEST)) {
    const existing = await world.find([...new Set(chunk.map(({ name }) => name))]);
    for (const candidate of chunk) {
      const { name } = candidate;
      if (existing.has(name) || taken.has(name) || world.isReserved(name)) {
        conflicts.push({ candidate, picture: existing.get(name) ?? null });
      } else {
        taken.add(name);
        world.settle(candidate, name, false);
      }
    }
  }
  /** @type {Choice | null} */
  let choiceForAll = null;
  for (const [index, conflict] of conflicts.entries()) {
    const { candidate } = conflict;
    /** @type {Answer} */
    const answer = choiceForAll
      ? { choice: choiceForAll, forAll: true }
      : await world.ask(conflict, conflicts.length - index - 1);
    if (answer.forAll) choiceForAll = answer.choice;
    const name = answer.choice === 'keep-both' ? await freeName(candidate.name, taken, world) : candidate.name;
    taken.add(name);
    world.settle(candidate, answer.choice === 'skip' ? null : name, answer.choice === 'replace');
  }
}

/**
 * Return the first free name of `beach-1.jpg`, `beach-2.jpg` and so on.
 *
 * @param {string} name
 * @param {ReadonlySet<string>} taken
 * @param {World<any>} world
 */
async function freeName(name, taken, world) {
  for (let first = 1; ; first += NUMBERS_PER_REQUEST) {
    const numbers = Array.from({ length: NUMBERS_PER_REQUEST }, (_, index) => first + index);
    const names = numbers.map((number) => numberedName(name, number));
    const candidates = names.filter((candidate) => !taken.has(candidate) && !world.isReserved(candidate));
    const existing = candidates.length ? await world.find(candidates) : new Map();
    const free = candidates.find((candidate) => !existing.has(candidate));
    if (free) return free;
  }
}

/**
 * @template Item
 * @param {Item[]} items
 * @param {number} size
 */
function* chunks(items, size) {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
