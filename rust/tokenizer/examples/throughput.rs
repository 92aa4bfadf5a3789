//! Training, encoding and decoding in MB/s: `cargo run --release -p pocketlm-tokenizer --example throughput [-- FILE...]`.
//!
//! Without files the text is made here: words of a Zipf-like distribution, with numbers, punctuation and other
//! scripts. Each figure is the best of a few runs, on one thread; "unseen" encodes the second half of the text
//! after the first, so that the cache holds what it would hold in steady use.

use std::time::Instant;

use pocketlm_tokenizer::train::{TrainConfig, train};
use pocketlm_tokenizer::{Encoder, Tokenizer};

const RUNS: usize = 3;
const MADE_BYTES: usize = 8 << 20;

fn main() {
    let files: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let documents: Vec<String> = if files.is_empty() {
        make_documents(MADE_BYTES)
    } else {
        files
            .iter()
            .map(|file| {
                std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"))
            })
            .collect()
    };
    let bytes: usize = documents.iter().map(String::len).sum();
    println!(
        "{} documents, {:.1} MB; MB/s, one thread, best of {RUNS}\n",
        documents.len(),
        bytes as f64 / 1e6
    );
    println!("| vocab | train | encode | encode unseen | decode | load | bytes/token |");
    println!("|------:|------:|-------:|--------------:|-------:|-----:|------------:|");
    for vocab_size in [1024, 8192, 32768] {
        measure(&documents, bytes, vocab_size);
    }
}

/// Print one row of the table.
fn measure(documents: &[String], bytes: usize, vocab_size: u32) {
    let config = TrainConfig {
        vocab_size,
        ..TrainConfig::default()
    };
    let (tokenizer, train_s) = best(|| train(documents, &config).expect("the documents hold text"));
    let (ids, encode_s) = best(|| encode_all(&tokenizer, documents));
    let (seen, unseen) = documents.split_at(documents.len() / 2);
    let mut unseen_s = f64::INFINITY;
    for _ in 0..RUNS {
        let mut encoder = Encoder::new(&tokenizer);
        let mut ids = Vec::with_capacity(bytes);
        seen.iter()
            .for_each(|document| encoder.encode(document, &mut ids));
        ids.clear();
        let start = Instant::now();
        unseen
            .iter()
            .for_each(|document| encoder.encode(document, &mut ids));
        unseen_s = start.elapsed().as_secs_f64().min(unseen_s);
    }
    let unseen_bytes: usize = unseen.iter().map(String::len).sum();
    let (decoded, decode_s) = best(|| tokenizer.decode(&ids).expect("our own ids"));
    assert!(
        decoded == documents.concat().as_bytes(),
        "decode(encode(text)) is not the text"
    );
    let flat = tokenizer.to_bytes();
    let (_, load_s) = best(|| Tokenizer::from_bytes(&flat).expect("our own bytes"));
    println!(
        "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} ms | {:.2} |",
        tokenizer.vocab_size(),
        bytes as f64 / 1e6 / train_s,
        bytes as f64 / 1e6 / encode_s,
        unseen_bytes as f64 / 1e6 / unseen_s,
        bytes as f64 / 1e6 / decode_s,
        load_s * 1e3,
        bytes as f64 / ids.len() as f64,
    );
}

fn encode_all(tokenizer: &Tokenizer, documents: &[String]) -> Vec<u32> {
    let mut encoder = Encoder::new(tokenizer);
    let mut ids = Vec::new();
    documents
        .iter()
        .for_each(|document| encoder.encode(document, &mut ids));
    ids
}

/// The result of `work` and the seconds of its fastest run.
fn best<T>(work: impl Fn() -> T) -> (T, f64) {
    let mut fastest = f64::INFINITY;
    let mut result = None;
    for _ in 0..RUNS {
        let start = Instant::now();
        result = Some(work());
        fastest = start.elapsed().as_secs_f64().min(fastest);
    }
    (result.expect("RUNS > 0"), fastest)
}

/// Documents of about 4 KB with `bytes` bytes in all, the same every time.
fn make_documents(bytes: usize) -> Vec<String> {
    let mut random = Random(1);
    let syllables: Vec<&str> =
        "ka to ri men shu lo an der th er in g st ou be wa ne si el mar qu i po ly"
            .split(' ')
            .collect();
    let mut words: Vec<String> = (0..30_000)
        .map(|_| {
            (0..1 + random.below(4))
                .map(|_| syllables[random.below(syllables.len())])
                .collect()
        })
        .collect();
    words.extend(
        [
            "привет",
            "мир",
            "ελληνικά",
            "文字",
            "こんにちは",
            "안녕",
            "é",
            "🙂",
        ]
        .map(String::from),
    );
    let mut documents = vec![String::new()];
    let mut total = 0;
    while total < bytes {
        let document = documents.last_mut().expect("there is one");
        let before = document.len();
        // The product of two uniform numbers favours small ranks, much as Zipf's law does.
        let rank = random.below(words.len()) * random.below(words.len()) / words.len();
        document.push_str(&words[rank]);
        match random.below(40) {
            0 => document.push_str(", "),
            1 => document.push_str(".\n"),
            2 => document.push_str("\n\n  "),
            3 => document.push_str(" 1984 "),
            4 => document.push_str("'s "),
            _ => document.push(' '),
        }
        total += document.len() - before;
        if document.len() > 4096 {
            documents.push(String::new());
        }
    }
    documents
}

/// Xorshift (Marsaglia 2003): enough for a text.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }
}
