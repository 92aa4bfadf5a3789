//! What penalties and biases do to logits before a token is sampled: a list of the tokens that they concern, few beside the vocabulary.
//!
//! The list is made anew, from the ids that stand in the cache, whenever tokens are sampled: what was rewound or kept for a next turn
//! cannot leave a wrong count behind.

use alloc::vec::Vec;

use crate::sampling::Sampling;

/// Set in [`Adjustment::seen`] where the token occurs before the answer; the other bits count how often it occurs in the answer.
pub const IN_PROMPT: u32 = 0x8000_0000;

/// What concerns one token: `Adjustment` of `shaders/adjust_logits.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Adjustment {
    /// The token.
    pub id: u32,
    /// Whether it occurs before the answer ([`IN_PROMPT`]), and how often in it.
    pub seen: u32,
    /// Added to its logit.
    pub bias: f32,
}

/// What concerns all tokens of the list: the beginning of `Adjustments` of `shaders/adjust_logits.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Penalties {
    /// Tokens in the list.
    pub length: u32,
    /// [`Sampling::repetition_penalty`].
    pub repetition: f32,
    /// [`Sampling::presence_penalty`].
    pub presence: f32,
    /// [`Sampling::frequency_penalty`].
    pub frequency: f32,
}

const _: () = assert!(size_of::<Adjustment>() == 12 && size_of::<Penalties>() == 16);

/// The tokens whose logits change, each once, and how.
#[derive(Debug, Clone)]
pub struct Adjustments {
    penalties: Penalties,
    list: Vec<Adjustment>,
    /// (V): where in the list each token stands, counted from 1; 0 where it does not.
    places: Vec<u32>,
}

impl Adjustments {
    /// For a context of `ids`, or `None` where `sampling`, which was checked, changes no logit.
    ///
    /// ```
    /// use pocketlm_inference::{Sampling, adjustments::Adjustments};
    /// let options = Sampling { presence_penalty: 0.5, answer_from: 2, ..Sampling::GREEDY };
    /// let adjustments = Adjustments::new(&options, &[7, 8, 9, 9], 16).unwrap();
    /// assert_eq!((adjustments.list().len(), adjustments.list()[0].seen), (1, 2));
    /// assert!(Adjustments::new(&Sampling::GREEDY, &[7, 8], 16).is_none());
    /// ```
    pub fn new(sampling: &Sampling, ids: &[u32], vocab_size: u32) -> Option<Self> {
        let repeats = sampling.repetition_penalty != 1.0;
        let counts = sampling.presence_penalty != 0.0 || sampling.frequency_penalty != 0.0;
        if !repeats && !counts && sampling.logit_bias.is_empty() {
            return None;
        }
        let mut new = Self {
            penalties: Penalties {
                length: 0,
                repetition: sampling.repetition_penalty,
                presence: sampling.presence_penalty,
                frequency: sampling.frequency_penalty,
            },
            list: Vec::new(),
            places: alloc::vec![0; vocab_size as usize],
        };
        for (id, bias) in &sampling.logit_bias {
            new.of(*id).bias += bias;
        }
        let (before, answer) = ids.split_at(ids.len().min(sampling.answer_from as usize));
        if repeats {
            for id in before {
                new.of(*id).seen |= IN_PROMPT;
            }
        }
        if repeats || counts {
            for id in answer {
                new.count(*id);
            }
        }
        Some(new)
    }

    /// The answer has this token once more.
    pub fn count(&mut self, id: u32) {
        self.of(id).seen += 1;
    }

    /// What concerns all tokens of the list.
    pub fn penalties(&self) -> Penalties {
        Penalties {
            length: self.list.len() as u32,
            ..self.penalties
        }
    }

    /// The tokens that are concerned, each once.
    pub fn list(&self) -> &[Adjustment] {
        &self.list
    }

    fn of(&mut self, id: u32) -> &mut Adjustment {
        let place = &mut self.places[id as usize];
        if *place == 0 {
            self.list.push(Adjustment {
                id,
                ..Adjustment::default()
            });
            *place = self.list.len() as u32;
        }
        &mut self.list[*place as usize - 1]
    }
}
