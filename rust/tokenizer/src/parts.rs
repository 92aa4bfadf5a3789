//! What a tokenizer is made of, as it stands in a file.

use alloc::vec::Vec;

use crate::added::AddedToken;
use crate::normalize::Normalizer;
use crate::split::Split;
use crate::vocabulary::Vocabulary;

/// No id.
pub(crate) const NO_TOKEN: u32 = u32::MAX;

/// What a tokenizer is made of; `Tokenizer::new` checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub vocabulary: Vocabulary,
    /// By ascending id.
    pub added: Vec<AddedToken>,
    /// Those that apply first stand first.
    pub merges: Vec<Merge>,
    pub order: MergeOrder,
    pub split: Split,
    pub normalizer: Normalizer,
    /// A piece that is a token is that token, whatever the merges would make of it.
    pub ignore_merges: bool,
}

/// `left` followed by `right` becomes `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub left: u32,
    pub right: u32,
    pub result: u32,
}

/// Which of several merges applies first. Among those that are equal, the leftmost in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeOrder {
    /// The one that stands first in the list (Hugging Face's files).
    #[default]
    ByList,
    /// The one whose result has the smallest id (tiktoken's files).
    ByResult,
}

impl Parts {
    /// The added token with this id.
    pub fn added(&self, id: u32) -> Option<&AddedToken> {
        let place = self.added.binary_search_by_key(&id, |token| token.id);
        place.ok().map(|place| &self.added[place])
    }

    /// Whether merges may use and make `id`: it is no added token, or one that is the model's own as well.
    pub fn is_in_model(&self, id: u32) -> bool {
        self.added(id).is_none_or(|token| token.in_model)
    }

    /// How early the merge at `place` of the list applies: the smaller the earlier.
    #[inline(always)]
    pub fn priority(&self, place: usize) -> u32 {
        match self.order {
            MergeOrder::ByList => place as u32,
            MergeOrder::ByResult => self.merges[place].result,
        }
    }
}
