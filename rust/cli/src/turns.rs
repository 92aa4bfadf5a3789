//! Which turns of a long conversation the model still reads. The page (web/src/engine/turns.ts) has the same rule;
//! `tests/vectors/chat_turns.json` holds both to it.

use crate::template::Message;

/// Leave out the oldest turns, a question with its answers, while the prompt takes more than three quarters of the context, and return
/// what `prompt` made of the rest. System messages at the beginning stay, and so does the last question.
///
/// `prompt`: the ids of messages.
///
/// # Errors
/// Those of `prompt`.
pub fn fit<E>(
    messages: &mut Vec<Message>,
    ctx_len: usize,
    mut prompt: impl FnMut(&[Message]) -> Result<Vec<u32>, E>,
) -> Result<Vec<u32>, E> {
    let is_system = |message: &Message| message.role == "system";
    let first = messages
        .iter()
        .position(|message| !is_system(message))
        .unwrap_or(messages.len());
    loop {
        let ids = prompt(messages)?;
        let later = messages.iter().skip(first + 1);
        let turn = later.take_while(|message| message.role != "user").count() + 1;
        if ids.len() <= ctx_len / 4 * 3 || first + turn >= messages.len() {
            return Ok(ids);
        }
        messages.drain(first..first + turn);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::fit;
    use crate::template::Message;

    #[test]
    fn the_shared_vectors() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/chat_turns.json"))
                .expect("JSON");
        for case in vectors["cases"].as_array().expect("cases") {
            let number = |value: &Value| value.as_u64().expect("a number") as usize;
            let given = case["messages"].as_array().expect("messages");
            // A message of n tokens is n bytes long here.
            let all: Vec<Message> = given
                .iter()
                .map(|message| Message {
                    role: ["system", "user", "assistant"]
                        .into_iter()
                        .find(|role| message["role"] == *role)
                        .expect("a role"),
                    content: "x".repeat(number(&message["tokens"])),
                })
                .collect();
            let mut messages = all.clone();
            let ctx_len = number(&case["ctx_len"]);
            let ids = fit(&mut messages, ctx_len, |messages| {
                let tokens = messages.iter().map(|message| message.content.len()).sum();
                Ok::<_, ()>(vec![0; tokens])
            })
            .expect("a prompt");
            let left_out = all.len() - messages.len();
            assert_eq!(left_out, number(&case["left_out"]), "{}", case["name"]);
            let read = messages.iter().map(|message| message.content.len());
            assert_eq!(ids.len(), read.sum::<usize>());
            assert_eq!(
                messages.last().map(|message| &message.content),
                all.last().map(|message| &message.content)
            );
        }
    }
}
