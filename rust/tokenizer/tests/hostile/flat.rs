//! A writer of the flat form that knows FORMAT.md and not the crate: for files that the crate's own writer would never make.

/// What a file says; nothing of it need make sense.
#[derive(Clone, Debug, Default)]
pub struct Flat {
    pub ignore_merges: u32,
    pub normalizer: u32,
    pub merge_order: u32,
    /// By id; empty: no token.
    pub tokens: Vec<Vec<u8>>,
    /// (id, flags)
    pub added: Vec<(u32, u32)>,
    /// left, right, result
    pub merges: Vec<[u32; 3]>,
    pub split: String,
}

impl Flat {
    /// GPT-2's split, special tokens and pairs whose results are looked up; id 0 where there is none.
    pub fn new(tokens: &[Vec<u8>], specials: &[u32], pairs: &[(u32, u32)]) -> Self {
        let bytes = |id: u32| tokens.get(id as usize).cloned().unwrap_or_default();
        let merges = pairs.iter().map(|&(left, right)| {
            let joined = [bytes(left), bytes(right)].concat();
            let result = tokens.iter().position(|token| *token == joined);
            [left, right, result.unwrap_or(0) as u32]
        });
        Self {
            tokens: tokens.to_vec(),
            added: specials.iter().map(|&id| (id, 1)).collect(),
            merges: merges.collect(),
            split: "gpt2".into(),
            ..Self::default()
        }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut end = 0;
        let ends = self.tokens.iter().map(|token| {
            end += token.len() as u32;
            end
        });
        let (token_table, token_attempt) = self.token_table();
        let (pair_table, pair_attempt) = self.pair_table();
        let words: Vec<u32> = ends
            .chain(self.added.iter().flat_map(|&(id, flags)| [id, flags]))
            .chain(self.merges.iter().copied().flatten())
            .chain(token_table.iter().copied())
            .chain(pair_table)
            .collect();
        let blob = self.tokens.concat();
        let fields = [
            2,
            1,
            self.ignore_merges,
            self.normalizer,
            self.merge_order,
            self.tokens.len() as u32,
            self.added.len() as u32,
            self.merges.len() as u32,
            token_attempt,
            pair_attempt,
            token_table.len() as u32,
            blob.len() as u32,
            self.split.len() as u32,
            0,
        ];
        let total = (72 + 4 * words.len() + blob.len() + self.split.len()) as u64;
        let mut bytes = b"PLMTOKEN".to_vec();
        bytes.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        bytes.extend(total.to_le_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(blob);
        bytes.extend(self.split.as_bytes());
        bytes
    }

    fn token_table(&self) -> (Vec<u32>, u32) {
        let own = |id: &u32| {
            let added = self.added.iter().find(|(added, _)| added == id);
            !self.tokens[*id as usize].is_empty() && added.is_none_or(|(_, flags)| flags & 32 != 0)
        };
        let ids: Vec<u32> = (0..self.tokens.len() as u32).filter(own).collect();
        table(&ids, |id, attempt| {
            token_hash(&self.tokens[id as usize], attempt)
        })
    }

    fn pair_table(&self) -> (Vec<u32>, u32) {
        let places: Vec<u32> = (0..self.merges.len() as u32).collect();
        table(&places, |place, attempt| {
            let [left, right, _] = self.merges[place as usize];
            let factor =
                (0..attempt).fold(G, |factor, _| factor.wrapping_mul(G).rotate_left(29) | 1);
            (u64::from(left) << 32 | u64::from(right)).wrapping_mul(factor)
        })
    }
}

const G: u64 = 0x9E37_79B9_7F4A_7C15;

fn token_hash(token: &[u8], attempt: u32) -> u64 {
    let mut padded = token.to_vec();
    padded.resize((token.len() / 8 + 1) * 8, 0);
    let first = u64::from(attempt).wrapping_mul(G) ^ token.len() as u64;
    padded.chunks(8).fold(first, |state, word| {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        let product = (state.rotate_left(5) ^ word).wrapping_mul(G);
        (product ^ product >> 32).wrapping_mul(G)
    })
}

/// The places of `numbers` under the first attempt that puts none of them more than 255 places away (else under the last).
fn table(numbers: &[u32], hash: impl Fn(u32, u32) -> u64) -> (Vec<u32>, u32) {
    let size = (2 * numbers.len()).next_power_of_two().max(16);
    for attempt in 0.. {
        let mut places = vec![u32::MAX; size];
        let near = numbers.iter().all(|&number| {
            let first = (hash(number, attempt) >> (64 - size.ilog2())) as usize;
            // Where there is no such hash, what the last one gives is not a sound table, but a file to refuse.
            let most = if attempt == 31 { size } else { 256 };
            let mut search = (first..first + most).map(|place| place % size);
            let free = search.find(|&place| places[place] == u32::MAX);
            free.inspect(|&place| places[place] = number).is_some()
        });
        if near {
            return (places, attempt);
        }
    }
    unreachable!("by the last hash every number finds a place")
}

/// The file that these bytes would be if their lengths and tables were right: what then refuses it is a check of its meaning. Bytes
/// that are too few for their own counts stay as they are.
pub fn repaired(bytes: &[u8]) -> Vec<u8> {
    let field = |at: usize| {
        let word = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(word.try_into().ok()?))
    };
    let read = || -> Option<Flat> {
        let (vocab, added, merges) = (field(28)?, field(32)?, field(36)?);
        let (token_places, split_len) = (field(48)?, field(56)? as usize);
        let pair_places = (2 * u64::from(merges)).next_power_of_two().max(16);
        let words = u64::from(vocab)
            + 2 * u64::from(added)
            + 3 * u64::from(merges)
            + u64::from(token_places)
            + pair_places;
        let blob = usize::try_from(72 + 4 * words).ok()?;
        let tail = bytes.get(blob..)?;
        let (token_bytes, split) = tail.split_at(tail.len().checked_sub(split_len)?);
        let word = |i: u64| field(72 + 4 * i as usize).unwrap_or_default();
        let mut start = 0;
        let tokens = (0..u64::from(vocab)).map(|id| {
            let end = (word(id) as usize).clamp(start, token_bytes.len());
            token_bytes[core::mem::replace(&mut start, end)..end].to_vec()
        });
        let mut tokens: Vec<Vec<u8>> = tokens.collect();
        let left_over = &token_bytes[start..];
        tokens.last_mut()?.extend(left_over);
        let at = u64::from(vocab);
        let after = at + 2 * u64::from(added);
        Some(Flat {
            ignore_merges: field(16)?,
            normalizer: field(20)?,
            merge_order: field(24)?,
            tokens,
            added: (0..u64::from(added))
                .map(|i| (word(at + 2 * i), word(at + 2 * i + 1)))
                .collect(),
            merges: (0..u64::from(merges))
                .map(|i| [0, 1, 2].map(|j| word(after + 3 * i + j)))
                .collect(),
            split: String::from_utf8_lossy(split).into_owned(),
        })
    };
    let plausible = |flat: &Flat| flat.tokens.len() + flat.merges.len() < 1 << 20;
    match read().filter(plausible) {
        Some(flat) => [&bytes[..8], &flat.bytes()[8..]].concat(),
        None => bytes.to_vec(),
    }
}
