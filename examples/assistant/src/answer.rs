//! What the assistant answers. Equal input gives an equal answer; the time is part of the input.

use chrono::{DateTime, Utc};

/// What an answer may need besides the message's text.
pub(crate) struct MessageContext<'a> {
    /// Who wrote it: the record key.
    pub(crate) subject: &'a str,
    /// The topic it is in.
    pub(crate) topic: &'a str,
    /// Its partition.
    pub(crate) partition: i32,
    /// Its offset.
    pub(crate) offset: i64,
    /// Its trace id, if it has one.
    pub(crate) trace: Option<&'a str>,
    /// The current time.
    pub(crate) now: DateTime<Utc>,
}

/// Answers a message.
pub(crate) fn answer(text: &str, context: &MessageContext<'_>) -> String {
    let words: Vec<String> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let contains = |any: &[&str]| words.iter().any(|word| any.contains(&word.as_str()));
    if words.is_empty() {
        "I got your message, but found no words in it. Say \"help\" to see what I can do.".to_owned()
    } else if contains(&["help", "hilfe", "?"]) {
        HELP.to_owned()
    } else if contains(&["time", "clock", "date", "today"]) {
        format!("It is {} (UTC).", context.now.format("%H:%M on %A, %-d %B %Y"))
    } else if contains(&["how", "where", "explain", "causeway", "kafka"]) {
        explain_path(context)
    } else if contains(&["thanks", "thank", "thx"]) {
        "You are welcome!".to_owned()
    } else if contains(&["bye", "goodbye"]) {
        "Goodbye! What we said stays here for a day, on every device you sign in with.".to_owned()
    } else if contains(&["count", "long"]) {
        count_to_ten()
    } else if words.len() <= 4 && contains(&["hi", "hello", "hey", "hallo", "morning", "moin"]) {
        "Hello! I am Causeway's example assistant. Tell me something, or say \"help\".".to_owned()
    } else {
        let count = words.len();
        let noun = if count == 1 { "word" } else { "words" };
        format!(
            "You said \"{}\": {count} {noun}. It reached me through Kafka; ask \"how?\" for the way it took.",
            excerpt(text)
        )
    }
}

const HELP: &str = "I know a few things:\n\
    - \"hello\": a greeting\n\
    - \"time\": the time now\n\
    - \"how\": the way your message took to me and back\n\
    - \"count\": a longer answer, to watch it arrive piece by piece\n\
    Anything else I repeat to you. There is no model behind me: I am an example to start from.";

fn explain_path(context: &MessageContext<'_>) -> String {
    let MessageContext { subject, topic, partition, offset, .. } = context;
    let trace = context.trace.map(|trace| format!(" Its trace is {trace}.")).unwrap_or_default();
    format!(
        "Your message went to the edge, which knew you by a sealed cookie and wrote your name on it; from there, \
         signed, to the bridge, and into Kafka as record {offset} of partition {partition} in {topic}, under the key \
         {subject}.{trace} I read it there. My answer takes the way back: Kafka, bridge, your own hub at the edge, and \
         then every page you have open. No token was ever in your browser."
    )
}

fn count_to_ten() -> String {
    let lines = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    format!("Here I go: {}. Every piece was a record of its own.", lines.join(", "))
}

fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    let text = text.trim();
    if text.chars().count() <= MAX_CHARS {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(MAX_CHARS).collect::<String>())
}

/// Splits an answer after every few words, as a streamed answer arrives.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    const WORDS: usize = 3;
    let mut pieces = Vec::new();
    let (mut start, mut words) = (0, 0);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            words += 1;
            if words == WORDS {
                let (piece, _) = text.split_at(at + c.len_utf8());
                pieces.extend(piece.get(start..));
                start = piece.len();
                words = 0;
            }
        }
    }
    pieces.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_to(text: &str) -> String {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let trace = Some("4bf92f3577b34da6a3ce929d0e0e4736");
        answer(
            text,
            &MessageContext { subject: "github:1", topic: "chat.inbound", partition: 2, offset: 9, trace, now },
        )
    }

    #[test]
    fn each_topic_has_its_answer() {
        assert!(answer_to("Hello!").starts_with("Hello!"));
        assert!(answer_to("HELP").contains("\"time\""));
        assert_eq!(answer_to("what time is it?"), "It is 08:00 on Friday, 15 January 2027 (UTC).");
        assert!(answer_to("how?").contains("record 9 of partition 2 in chat.inbound, under the key github:1"));
        assert!(answer_to("the <b>cat</b>").starts_with("You said \"the <b>cat</b>\": 4 words"));
        assert!(answer_to("  ").contains("no words"));
        assert_eq!(answer_to("same"), answer_to("same"));
    }

    #[test]
    fn pieces_concatenate_to_the_answer() {
        for text in [answer_to("help"), answer_to("count"), "ä ö  ü\nß x y z".to_owned(), String::new()] {
            let pieces = pieces(&text);
            assert_eq!(pieces.concat(), text);
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
        }
        assert!(pieces(&answer_to("help")).len() > 5);
    }
}
