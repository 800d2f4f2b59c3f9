//! What the broker is told of an event: a CloudEvent (CloudEvents 1.0.2, JSON format, structured mode) for each participant that the
//! event concerns. Pure.

use common::text::HOUSE;
use serde_json::json;

use crate::{event_json, store::event_log::LoggedEvent, wire};

/// A message for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What the broker knows it again by: the event's id and its participant, as CloudEvents' `id` and `source` together are unique.
    pub id: String,
    /// Where it is published: the prefix, the participant, the state.
    pub subject: String,
    /// The CloudEvent.
    pub content: Vec<u8>,
}

/// What is published of an event: to its payer's participant, and to the payee's that the money is there.
pub fn messages(event: &LoggedEvent, subject_prefix: &str) -> Vec<Message> {
    let (payer, payee) = (event.payment.participant.as_str(), event.credited.as_str());
    let payee = Some(payee).filter(|payee| *payee != payer);
    // The house's own accounts are nobody's.
    let participants = [Some(payer), payee].into_iter().flatten().filter(|one| *one != HOUSE);
    participants.filter_map(|participant| message(event, participant, subject_prefix)).collect()
}

fn message(event: &LoggedEvent, participant: &str, subject_prefix: &str) -> Option<Message> {
    let event = wire::event(event, participant)?;
    let content = json!({
        "specversion": "1.0",
        "id": event.id,
        "source": format!("/participants/{participant}"),
        "type": event_json::kind(&event),
        "subject": event.payment.as_ref().map(|payment| payment.id.as_str()),
        "time": event_json::time(&event),
        "datacontenttype": "application/json",
        "data": event_json::data(&event),
    });
    Some(Message {
        id: format!("{}/{participant}", event.id),
        subject: format!("{subject_prefix}.{participant}.{}", event_json::state(&event)),
        content: content.to_string().into_bytes(),
    })
}
