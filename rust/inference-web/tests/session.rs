//! The session on the CPU, with small models made here.

extern crate alloc;

mod model;

use model::{Options, engine, tokenizer};
use pocketlm_inference::Sampling;
use pocketlm_inference::generate::FinishReason;
use pocketlm_web::session::{Session, parameters};
use pollster::block_on;

fn hot() -> Sampling {
    Sampling {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        seed: 3,
        ..Sampling::GREEDY
    }
}

fn session() -> Session {
    Session::new(engine(&Options::default())).expect("a sound session")
}

/// Run to the end: text, ids, tokens of the prompt that were read.
fn run(
    session: &mut Session,
    prompt: &str,
    sampling: Sampling,
    max_tokens: u32,
    batch: u32,
) -> (String, Vec<u32>, u32) {
    session
        .start(&["", prompt], sampling, max_tokens, &[])
        .expect("a prompt that fits");
    let (mut text, mut ids, mut prefilled) = (String::new(), Vec::new(), 0);
    loop {
        let step = block_on(session.step(batch, u32::MAX)).expect("a step");
        assert!(
            step.ids.len() <= batch as usize,
            "{} tokens in a batch of {batch}",
            step.ids.len()
        );
        text += &step.text;
        ids.extend(step.ids);
        prefilled += step.prefilled;
        if let Some(reason) = step.done {
            assert_eq!(reason, FinishReason::MaxTokens);
            return (text, ids, prefilled);
        }
    }
}

#[test]
fn the_text_is_that_of_the_ids_however_they_are_cut() {
    let mut session = session();
    let (text, ids, prefilled) = run(&mut session, "To be", hot(), 60, 7);
    assert_eq!(ids.len(), 60);
    assert!(prefilled >= tokenizer(280).encode("To be").len() as u32);
    // Random tokens end in the middle of characters all the time.
    assert!(text.contains('\u{FFFD}'));
    assert_eq!(text, session.decode(&ids).expect("known ids"));
}

#[test]
fn a_token_is_put_together_from_its_bytes() {
    let (session, tokenizer) = (session(), tokenizer(280));
    let all: Vec<_> = tokenizer.merges().collect();
    assert!(all.len() > 10);
    for id in 0..=tokenizer.vocab_size() {
        let bytes = tokenizer.token_bytes(id).unwrap_or_default();
        let bytes_ids = bytes.iter().map(|byte| tokenizer.token_id(&[*byte]));
        let mut parts: Vec<u32> = bytes_ids.flatten().collect();
        let is_made = all.iter().any(|merge| merge.2 == id);
        let steps = session.merges(id);
        let expected = if is_made { 3 * (bytes.len() - 1) } else { 0 };
        assert_eq!(steps.len(), expected, "token {id}");
        for step in steps.chunks_exact(3) {
            assert!(all.contains(&(step[0], step[1], step[2])));
            // No merge that stands before it in the list would have fitted, too.
            let first = all.iter().find_map(|merge| {
                let pair = [merge.0, merge.1];
                let at = parts.windows(2).position(|pair_there| pair_there == pair)?;
                Some((merge.2, at))
            });
            let (result, at) = first.expect("a merge that fits");
            assert_eq!(result, step[2]);
            parts.splice(at..at + 2, [result]);
        }
        assert!(!is_made || parts == [id]);
    }
}

#[test]
fn the_batch_does_not_change_the_text() {
    let mut session = session();
    let (text, ..) = run(&mut session, "To be", hot(), 50, 1);
    for batch in [2, 5, 64] {
        assert_eq!(
            run(&mut session, "To be", hot(), 50, batch).0,
            text,
            "batch {batch}"
        );
    }
    let other = Sampling { seed: 4, ..hot() };
    assert_ne!(run(&mut session, "To be", other, 50, 5).0, text);
}

/// A prompt may be left after any step of it: what was read until then is all that was.
#[test]
fn a_prompt_is_read_in_steps_of_some_layers() {
    let mut whole = session();
    let (text, ids, prefilled) = run(&mut whole, "To be", hot(), 20, 4);
    let mut session = session();
    session
        .start(&["", "To be"], hot(), 20, &[])
        .expect("a prompt");
    let (mut read, mut said, mut written) = (0, String::new(), Vec::new());
    loop {
        let step = block_on(session.step(4, 1)).expect("a step");
        assert!(step.prefilled == 0 || step.ids.is_empty());
        read += step.prefilled;
        said += &step.text;
        written.extend(step.ids);
        if step.done.is_some() {
            break;
        }
    }
    assert_eq!((said, written, read), (text, ids, prefilled));
}

/// Cut at every token: within characters, within the context and past its end.
#[test]
fn a_run_goes_on_where_a_lost_engine_left_it() {
    let (text, ids, _) = run(&mut session(), "To be", hot(), 40, 8);
    for cut in 0..=ids.len() {
        let mut before = session();
        before
            .start(&["", "To be"], hot(), 40, &[])
            .expect("a prompt");
        let mut whole = String::new();
        let mut written = Vec::new();
        while written.len() < cut {
            let step = block_on(before.step(1, u32::MAX)).expect("a step");
            whole += &step.text;
            written.extend(step.ids);
        }
        let mut after = session();
        after
            .start(&["", "To be"], hot(), 40, &written)
            .expect("known ids");
        let mut step = block_on(after.step(8, u32::MAX)).expect("a step");
        while step.done.is_none() {
            whole += &step.text;
            written.extend(&step.ids);
            step = block_on(after.step(8, u32::MAX)).expect("a step");
        }
        whole += &step.text;
        written.extend(&step.ids);
        assert_eq!(written, ids, "cut at {cut}");
        assert!(cut == ids.len() || whole == text, "cut at {cut}");
    }
    let failure = session()
        .start(&["", "To be"], hot(), 5, &[280])
        .expect_err("no such token");
    assert_eq!(failure.kind, "bad-input");
}

#[test]
fn special_tokens_count_where_a_template_wrote_them_and_nowhere_else() {
    let mut session = session();
    let as_text = session.encode("<|endoftext|>").len() as u32;
    assert!(as_text > 1);
    let mut prefilled = |parts: &[&str]| {
        session.start(parts, hot(), 1, &[]).expect("a prompt");
        block_on(session.step(1, u32::MAX))
            .expect("a step")
            .prefilled
    };
    assert_eq!(prefilled(&["<|endoftext|>"]), 1);
    assert_eq!(prefilled(&["", "<|endoftext|>"]), as_text);
    assert_eq!(
        prefilled(&["<|endoftext|>", "<|endoftext|>", "<|endoftext|>"]),
        2 + as_text
    );
}

#[test]
fn an_empty_prompt_begins_a_document_where_the_model_can() {
    let (.., prefilled) = run(&mut session(), "", hot(), 1, 1);
    assert_eq!(prefilled, 1);
    let mut without = Session::new(engine(&Options {
        bos: None,
        ..Options::default()
    }))
    .expect("a sound session");
    let failure = without
        .start(&[""], hot(), 1, &[])
        .expect_err("nothing to begin with");
    assert_eq!(failure.kind, "bad-input");
    assert!(failure.message.contains("empty"), "{}", failure.message);
}

#[test]
fn a_step_without_a_run_is_refused() {
    let mut session = session();
    assert_eq!(
        block_on(session.step(1, u32::MAX))
            .expect_err("no run")
            .kind,
        "bad-input"
    );
    session
        .start(&["", "To be"], hot(), 5, &[])
        .expect("a prompt that fits");
    block_on(session.logits(&[1, 2], 0)).expect("logits");
    assert_eq!(
        block_on(session.step(1, u32::MAX))
            .expect_err("logits ended the run")
            .kind,
        "bad-input"
    );
}

#[test]
fn bad_sampling_is_refused_and_the_next_run_works() {
    let mut session = session();
    let failure = session
        .start(
            &["", "To be"],
            Sampling {
                temperature: f32::NAN,
                ..hot()
            },
            1,
            &[],
        )
        .expect_err("not a number");
    assert_eq!(
        (failure.kind, failure.message.contains("temperature")),
        ("bad-input", true)
    );
    assert_eq!(run(&mut session, "To be", hot(), 3, 3).1.len(), 3);
}

#[test]
fn logits_are_rows_of_the_vocabulary_and_repeatable() {
    let mut session = session();
    let logits = block_on(session.logits(&[1, 2, 3], 0)).expect("logits");
    assert_eq!(logits.len(), 3 * 280);
    assert_eq!(
        block_on(session.logits(&[1, 2, 3], 0)).expect("logits"),
        logits
    );
    // In parts, each behind what was read before it.
    let first = block_on(session.logits(&[1], 0)).expect("logits");
    let rest = block_on(session.logits(&[2, 3], 1)).expect("logits");
    for (part, whole) in first.iter().chain(&rest).zip(&logits) {
        assert!((part - whole).abs() < 1e-5, "{part}, {whole}");
    }
    assert!(
        block_on(session.logits(&[1], 9)).is_err(),
        "nothing was read there"
    );
    let failure = block_on(session.logits(&[280], 0)).expect_err("no such token");
    assert_eq!(failure.kind, "bad-input");
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_is_refused() {
    let options = Options {
        tokens: 281,
        ..Options::default()
    };
    let failure = Session::new(engine(&options))
        .err()
        .expect("too many tokens");
    assert_eq!(failure.kind, "bad-model");
    assert!(
        failure.message.contains("280") && failure.message.contains("281"),
        "{}",
        failure.message
    );
}

#[test]
fn the_golden_prompt_is_shown_without_special_tokens() {
    let session = session();
    let golden = session.golden_prompt().expect("known ids");
    assert_eq!(golden, session.decode(&[60, 61]).expect("known ids"));
    assert_eq!(
        session.decode(&[280]).expect_err("no such token").kind,
        "bad-input"
    );
}

#[test]
fn parameters_are_counted_once() {
    // Embedding (tied), q, k, v, o, gate, up, down, three norms.
    let expected = 280 * 8 + 8 * 8 + 2 * 4 * 8 + 8 * 8 + 3 * 12 * 8 + 3 * 8;
    assert_eq!(parameters(session().model()), expected);
}

#[test]
fn a_prompt_is_counted_as_it_is_read() {
    let mut session = session();
    for prompt in ["To be", "", "<|endoftext|>", "whether 'tis nobler"] {
        let tokens = session.count(&["", prompt]);
        let (.., prefilled) = run(&mut session, prompt, hot(), 1, 1);
        assert_eq!(tokens, prefilled as usize, "{prompt:?}");
    }
}

/// A second question reads only what the first run did not, where its answer, read as text, is the same tokens.
#[test]
fn the_next_turn_goes_on_in_the_cache() {
    let mut session = session();
    let question = "To be";
    let first = session.encode(question);
    let answered = (0..200).find_map(|seed| {
        let (answer, ids, _) = run(&mut session, question, Sampling { seed, ..hot() }, 2, 1);
        let said = format!("{question}{answer} that is");
        let read = session.encode(&said);
        read.starts_with(&[first.clone(), ids].concat())
            .then_some((said, read.len()))
    });
    let (said, tokens) = answered.expect("an answer of whole words");
    let (.., prefilled) = run(&mut session, &said, hot(), 1, 1);
    assert_eq!(prefilled as usize, tokens - first.len() - 2);
}

/// Characters that end in the middle of a token are the next token's.
#[test]
fn each_token_brings_its_part_of_the_text() {
    let mut session = session();
    for batch in [1, 5, 64] {
        session
            .start(&["", "To be"], hot(), 60, &[])
            .expect("a prompt");
        session.set_top_logprobs(Some(2));
        let (mut text, mut parts, mut said) = (String::new(), String::new(), 0);
        loop {
            let step = block_on(session.step(batch, u32::MAX)).expect("a step");
            let units: Vec<u16> = step.text.encode_utf16().collect();
            assert_eq!(step.lengths.len(), step.ids.len());
            let mut from = 0;
            for length in &step.lengths {
                let part = &units[from..from + *length as usize];
                parts += &String::from_utf16(part).expect("no character is cut");
                from += *length as usize;
            }
            assert_eq!(step.logprobs.len(), step.ids.len());
            said += step.logprobs.len();
            text += &step.text;
            if step.done.is_some() {
                break;
            }
            assert_eq!(from, units.len());
        }
        assert_eq!(said, 60);
        assert!(text.starts_with(&parts) && text.len() - parts.len() <= 3);
    }
    session
        .start(&["", "To be"], hot(), 2, &[])
        .expect("a prompt");
    let steps = [(); 2].map(|()| block_on(session.step(2, u32::MAX)).expect("a step"));
    assert!(steps.iter().all(|step| step.logprobs.is_empty()));
}

/// What both begin with stands in the fork's cache already; a session that read everything says the same.
#[test]
fn two_forks_go_different_ways_from_one_prefix() {
    let mut first = session();
    let question = "To be";
    let read = first.encode(question);
    let said = (0..200).find_map(|seed| {
        let (answer, ids, _) = run(&mut first, question, Sampling { seed, ..hot() }, 2, 1);
        let said = format!("{question}{answer}");
        let whole = [read.clone(), ids].concat();
        [" that is", " nobler"]
            .iter()
            .all(|end| first.encode(&format!("{said}{end}")).starts_with(&whole))
            .then_some((said, whole.len()))
    });
    let (said, shared) = said.expect("an answer of whole words");
    let mut other = block_on(first.fork()).expect("memory for another cache");
    for (forked, end) in [(&mut other, " that is"), (&mut first, " nobler")] {
        let prompt = format!("{said}{end}");
        let (text, ids, prefilled) = run(forked, &prompt, hot(), 12, 3);
        assert_eq!(
            prefilled as usize,
            forked.encode(&prompt).len() - shared,
            "{end}"
        );
        let (alone, alone_ids, _) = run(&mut session(), &prompt, hot(), 12, 3);
        assert_eq!((text, ids), (alone, alone_ids), "{end}");
    }
}

/// A run knows what stands in the cache, so a look at another text ends it.
#[test]
fn a_look_leaves_the_run_as_it_was_unless_it_is_at_another_text() {
    let mut session = session();
    let (text, ids, _) = run(&mut session, "To be", hot(), 12, 4);
    let prompt = session.prompt_ids(&["", "To be"]);
    assert_eq!(prompt.len(), session.count(&["", "To be"]));
    let seen = [&prompt[..], &ids[..5]].concat();
    let weights = block_on(session.attention(&seen, 0)).expect("a layer");
    assert_eq!(weights.len(), 2 * seen.len());
    let logits = block_on(session.lens(&seen, 0)).expect("a layer");
    assert_eq!(logits.len(), 280);
    assert!(block_on(session.step(1, u32::MAX)).is_ok());
    assert_eq!(run(&mut session, "To be", hot(), 12, 4).0, text);

    block_on(session.lens(&[5, 6, 7], 0)).expect("a layer");
    let error = block_on(session.step(1, u32::MAX)).expect_err("no run");
    assert_eq!(error.kind, "bad-input");
    assert_eq!(run(&mut session, "To be", hot(), 12, 4).0, text);
    assert_eq!(
        block_on(session.attention(&seen, 1))
            .expect_err("one layer")
            .message,
        "there is no layer 1: the model has 1, counted from 0"
    );
}
