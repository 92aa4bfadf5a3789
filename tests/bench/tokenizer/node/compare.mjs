/**
 * Encoding, in Node and in a browser alike: each encoder on the second half of the texts, when it has just seen the first half. The encoders
 * take turns, so that other work on the machine spoils both alike.
 *
 * @param {Record<string, () => Promise<(text: string) => ArrayLike<number>>>} encoders PocketLM and kitoken: each call makes a new one
 * @param {string[]} documents
 * @param {number} rounds
 * @param {() => number} clock seconds
 * @returns the best seconds of each encoder, and how many of the texts have the same ids
 */
export async function compare(encoders, documents, rounds, clock) {
  const [seen, unseen] = [documents.filter((_, i) => i % 2 === 0), documents.filter((_, i) => i % 2 === 1)];
  const seconds = {};
  const ids = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, make] of Object.entries(encoders)) {
      const encode = await make();
      for (const text of seen) {
        encode(text);
      }
      const started = clock();
      ids[name] = unseen.map(text => encode(text));
      seconds[name] = Math.min(seconds[name] ?? Number.POSITIVE_INFINITY, clock() - started);
    }
  }
  const same = unseen.filter((_, i) => ids.PocketLM[i].join() === ids.kitoken[i].join()).length;
  return { seconds, same, texts: unseen.length };
}
