//! How much the next step of a generation does, by how long the one before took: the text comes evenly, and Ctrl-C is heeded at once.

use pocketlm_inference::Generator;
use pocketlm_inference::generate::Step;

/// A step should take about this long.
const STEP_S: f64 = 0.025;
/// The most tokens a step brings, or layers of a prompt's chunk it computes.
const MAX_SIZE: u32 = 64;

/// Tokens without guesses before the first, and after guesses that cost more than they brought: a token's time is measured meanwhile.
const TOKENS_WITHOUT: u32 = 16;
/// What is known of an ordinary token's time, and of what guesses saved, fades by this a step.
const FADING: f64 = 0.8;

/// What the next step is given.
pub struct Pace {
    batch: u32,
    layers: u32,
    guesses: Guesses,
}

/// Guesses are read while they save time.
struct Guesses {
    most: u32,
    /// Tokens that still come without.
    without: u32,
    /// Seconds of a token without; `None` until there was one.
    token_s: Option<f64>,
    /// What the last passes of guesses saved, in seconds.
    saved_s: f64,
}

impl Pace {
    /// Begin small. Up to `guesses` tokens are guessed at once; below 2 none are.
    pub fn new(guesses: u32) -> Self {
        Self {
            batch: 1,
            layers: 1,
            guesses: Guesses {
                most: guesses,
                without: TOKENS_WITHOUT,
                token_s: None,
                saved_s: 0.0,
            },
        }
    }

    /// Tell the generator what its next step may do.
    pub fn set(&self, generator: &mut Generator) {
        generator.set_batch(self.batch);
        generator.set_layers(self.layers);
        let is_guessing = self.guesses.without == 0;
        generator.set_guesses(if is_guessing { self.guesses.most } else { 0 });
    }

    /// Learn from a step that took `seconds`.
    pub fn learn(&mut self, step: &Step, seconds: f64) {
        if step.ids.is_empty() {
            self.layers = next_size(self.layers, seconds);
        } else if step.guessed > 0 {
            self.guesses.learn(step.ids.len(), seconds);
        } else {
            let tokens = step.ids.len() as u32;
            self.batch = next_size(tokens, seconds);
            self.guesses.learn_without(tokens, seconds);
        }
    }
}

impl Guesses {
    fn learn(&mut self, tokens: usize, seconds: f64) {
        let without_s = self.token_s.unwrap_or(0.0) * tokens as f64;
        self.saved_s = FADING * self.saved_s + without_s - seconds;
        if self.saved_s < 0.0 {
            (self.saved_s, self.without) = (0.0, TOKENS_WITHOUT);
        }
    }

    fn learn_without(&mut self, tokens: u32, seconds: f64) {
        let now_s = seconds / f64::from(tokens);
        let before_s = self.token_s.unwrap_or(now_s);
        self.token_s = Some(FADING * before_s + (1.0 - FADING) * now_s);
        self.without = self.without.saturating_sub(tokens);
    }
}

/// As many as fit the time that a step should take, after `size` took `seconds`; never more than twice as many.
fn next_size(size: u32, seconds: f64) -> u32 {
    let fitting = (f64::from(size) * STEP_S / seconds.max(1e-4)) as u32;
    fitting.clamp(1, MAX_SIZE.min(2 * size.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(tokens: usize, guessed: u32) -> Step {
        Step {
            ids: vec![0; tokens],
            logprobs: Vec::new(),
            prefilled: 0,
            guessed,
            done: None,
        }
    }

    #[test]
    fn steps_grow_while_they_are_short_and_shrink_when_they_are_long() {
        assert_eq!(next_size(1, 0.001), 2);
        assert_eq!(next_size(8, 0.025), 8);
        assert_eq!(next_size(8, 0.1), 2);
        assert_eq!(next_size(1, 5.0), 1);
        assert_eq!(next_size(64, 0.0), 64);
    }

    #[test]
    fn each_kind_of_step_has_its_own_size() {
        let mut pace = Pace::new(0);
        for _ in 0..4 {
            pace.learn(&step(0, 0), 0.001);
        }
        assert_eq!((pace.layers, pace.batch), (16, 1));
        pace.learn(&step(1, 0), 0.001);
        assert_eq!((pace.layers, pace.batch), (16, 2));
    }

    /// Guesses begin after ordinary tokens, go on while they save time, and rest when they cost some.
    #[test]
    fn guesses_rest_where_they_do_not_pay() {
        let mut pace = Pace::new(8);
        let is_guessing = |pace: &Pace| pace.guesses.without == 0;
        for _ in 0..TOKENS_WITHOUT {
            assert!(!is_guessing(&pace));
            pace.learn(&step(1, 0), 0.01);
        }
        assert!(is_guessing(&pace));
        pace.learn(&step(6, 8), 0.03); // 60 ms without
        pace.learn(&step(1, 8), 0.03); // 20 ms lost, of 30 saved
        assert!(is_guessing(&pace));
        pace.learn(&step(1, 8), 0.03);
        assert!(!is_guessing(&pace));
    }
}
