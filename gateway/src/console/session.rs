//! Who is signed in: in memory, for a while. A session holds the credential, so that every request with it is judged as a call would be.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

use crate::caller::Participant;

/// A session ends when nobody has used it for so long; what a page asks for by itself is no use.
const MAX_IDLE: Duration = Duration::from_secs(15 * 60);
/// However much it is used, it ends after so long.
const MAX_AGE: Duration = Duration::from_secs(8 * 60 * 60);
/// How many sessions there may be, in all and of one participant, whose oldest then makes room.
const MAX_SESSIONS: usize = 256;
const MAX_OF_PARTICIPANT: usize = 16;
/// How many random bytes name a session, or stand in its forms.
const TOKEN_BYTES: usize = 32;

/// The sessions. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<blake3::Hash, Session>>>);

/// One person at one browser.
#[derive(Clone)]
pub(super) struct Session {
    credential: AsciiMetadataValue,
    participant: Participant,
    form_token: String,
    began: Instant,
    used: Instant,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("participant", &self.participant).finish_non_exhaustive()
    }
}

/// Why no session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSession {
    /// There are as many as there may be.
    TooMany,
    /// The system gives no randomness.
    NoRandomness,
}

impl Session {
    /// What calls carry that are made for this session.
    pub(super) fn metadata(&self) -> MetadataMap {
        metadata_of(&self.credential)
    }

    /// What each of its forms carries, so that no other page can send one.
    pub(super) fn form_token(&self) -> &str {
        &self.form_token
    }

    fn is_over(&self, now: Instant) -> bool {
        let since = |then| now.saturating_duration_since(then);
        since(self.used) >= MAX_IDLE || since(self.began) >= MAX_AGE
    }
}

/// The metadata of a call with this credential.
pub(super) fn metadata_of(credential: &AsciiMetadataValue) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", credential.clone());
    metadata
}

impl Sessions {
    /// Begins a session; returns the token that names it, which is kept nowhere here.
    pub(super) fn begin(
        &self,
        credential: AsciiMetadataValue,
        participant: &Participant,
        now: Instant,
    ) -> Result<String, NoSession> {
        let (token, form_token) = (random()?, random()?);
        let mut open = self.open();
        open.retain(|_, session| !session.is_over(now));
        let own = open.iter().filter(|(_, session)| session.participant == *participant);
        let own: Vec<_> = own.map(|(name, session)| (session.used, *name)).collect();
        if own.len() >= MAX_OF_PARTICIPANT
            && let Some((_, oldest)) = own.iter().min_by_key(|(used, _)| *used)
        {
            open.remove(oldest);
        }
        if open.len() >= MAX_SESSIONS {
            return Err(NoSession::TooMany);
        }
        let participant = participant.clone();
        open.insert(name(&token), Session { credential, participant, form_token, began: now, used: now });
        Ok(token)
    }

    /// The session that a token names, unless it is over; `is_use` if a person asked.
    pub(super) fn find(&self, token: &str, now: Instant, is_use: bool) -> Option<Session> {
        let mut open = self.open();
        let session = open.get_mut(&name(token))?;
        if session.is_over(now) {
            open.remove(&name(token));
            return None;
        }
        if is_use {
            session.used = now;
        }
        Some(session.clone())
    }

    /// Ends a session.
    pub(super) fn end(&self, token: &str) {
        self.open().remove(&name(token));
    }

    fn open(&self) -> MutexGuard<'_, HashMap<blake3::Hash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random() -> Result<String, NoSession> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| NoSession::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// By what a session is found, so that memory holds no token.
fn name(token: &str) -> blake3::Hash {
    blake3::hash(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;

    fn begin(sessions: &Sessions, participant: &str, now: Instant) -> Result<String, NoSession> {
        begin_in(Cell::default(), sessions, participant, now)
    }

    fn begin_in(
        cell: Cell,
        sessions: &Sessions,
        participant: &str,
        now: Instant,
    ) -> Result<String, NoSession> {
        let credential = AsciiMetadataValue::from_static("Bearer rk_secret");
        sessions.begin(credential, &Participant::new(cell, participant), now)
    }

    #[test]
    fn a_session_ends_when_it_is_left_alone_and_after_a_day_of_work() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let token = begin(&sessions, "shop", start).expect("room");
        assert_eq!(token.len(), 43, "256 bits");
        let mut now = start;
        // A page that asks by itself keeps nothing open.
        for _ in 0..14 {
            now += Duration::from_secs(60);
            assert!(sessions.find(&token, now, false).is_some());
        }
        assert!(sessions.find(&token, start + MAX_IDLE, true).is_none(), "idle");
        let token = begin(&sessions, "shop", start).expect("room");
        let mut now = start;
        while now + MAX_IDLE / 2 < start + MAX_AGE {
            now += MAX_IDLE / 2;
            assert!(sessions.find(&token, now, true).is_some());
        }
        assert!(sessions.find(&token, start + MAX_AGE, true).is_none(), "too old");
        assert!(sessions.open().is_empty());
    }

    #[test]
    fn sessions_are_bounded_and_nobody_takes_anothers_place() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let other = begin(&sessions, "other", start).expect("room");
        let second = Cell::try_from(2).expect("a cell");
        let namesake = begin_in(second, &sessions, "shop", start).expect("room");
        let tokens: Vec<_> = (0..=MAX_OF_PARTICIPANT)
            .map(|second| {
                let now = start + Duration::from_secs(u64::try_from(second).expect("small"));
                begin(&sessions, "shop", now).expect("room")
            })
            .collect();
        assert!(sessions.find(&tokens[0], start, true).is_none(), "its oldest made room");
        assert!(sessions.find(&tokens[1], start, true).is_some());
        assert!(sessions.find(&other, start, true).is_some());
        assert!(sessions.find(&namesake, start, true).is_some(), "in another cell");
        for number in 0..MAX_SESSIONS - MAX_OF_PARTICIPANT - 2 {
            assert!(begin(&sessions, &format!("shop-{number}"), start).is_ok());
        }
        assert_eq!(begin(&sessions, "one-too-many", start), Err(NoSession::TooMany));
        assert!(begin(&sessions, "shop", start).is_ok(), "in its own place");
    }

    #[test]
    fn a_session_shows_no_key_and_ends_when_asked() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let token = begin(&sessions, "shop", now).expect("room");
        assert_ne!(begin(&sessions, "shop", now), Ok(token.clone()));
        let session = sessions.find(&token, now, true).expect("open");
        assert!(!format!("{session:?} {sessions:?}").contains("rk_secret"));
        assert_ne!(session.form_token(), token);
        sessions.end(&token);
        assert!(sessions.find(&token, now, true).is_none());
    }
}
