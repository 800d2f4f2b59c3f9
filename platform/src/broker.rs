//! The broker: where events go besides participants' own endpoints (NATS JetStream). `docs/broker.md` says what is promised.

mod message;
mod settings;

use std::time::Duration;

use async_nats::{
    ConnectOptions, Event, ServerAddr,
    jetstream::{
        self, ErrorCode,
        context::GetStreamErrorKind,
        message::PublishMessage,
        stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType},
    },
};
use common::{
    settings::Secret,
    tls::{ClientTls, Live},
};

pub use message::{Message, messages};
pub use settings::BrokerArgs;

/// How long a connection, and each answer of the broker, may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// For how long a stream that is made here knows a message again: longer than it takes another platform to take over.
const KNOWS_AGAIN_FOR: Duration = Duration::from_secs(120);
/// A stream that knows messages again for less lets repeats in.
const LEAST_KNOWS_AGAIN_FOR: Duration = Duration::from_secs(60);

/// Where the broker is, who this is there, and what it is told.
#[derive(Debug)]
pub struct Broker {
    servers: Vec<ServerAddr>,
    tls: Option<ClientTls>,
    credentials: Option<Live<Secret>>,
    stream: String,
    subject_prefix: String,
    /// How long a stream that is made here keeps messages.
    keep: Duration,
}

/// Why the broker was not told.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No connection.
    #[error("no connection to the broker: {0}")]
    NotConnected(String),
    /// The stream is not what it must be, can't be made or looked at.
    #[error("stream {stream}: {problem}")]
    Stream {
        /// Its name.
        stream: String,
        /// What is wrong.
        problem: String,
    },
    /// The broker did not say that it has a message.
    #[error("the broker did not take {id}: {problem}")]
    NotTaken {
        /// Whose id this is.
        id: String,
        /// Why not.
        problem: String,
    },
}

impl Broker {
    /// What the subjects of its messages begin with.
    pub fn subject_prefix(&self) -> &str {
        &self.subject_prefix
    }

    /// Whether messages travel over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects, with certificates and credentials as the files are now, and finds the stream, or makes it.
    ///
    /// # Errors
    /// When nobody answers, or the stream is not what it must be.
    pub async fn connect(&self) -> Result<Link, BrokerError> {
        let mut options = ConnectOptions::new()
            .name("rialto-platform")
            .connection_timeout(ANSWER_TIMEOUT)
            .request_timeout(Some(ANSWER_TIMEOUT))
            // Who failed connects anew, with what the files hold then.
            .max_reconnects(1)
            .event_callback(|event| async move {
                match event {
                    // What the server refuses, e.g. for want of rights, it says only here.
                    Event::ServerError(error) => tracing::warn!(%error, "the broker complains"),
                    event => tracing::debug!(%event, "the broker's connection"),
                }
            });
        if let Some(tls) = &self.tls {
            options = options.require_tls(true).tls_client_config((*tls.fresh()).clone());
        }
        if let Some(credentials) = &self.credentials {
            let credentials = credentials.fresh();
            options = settings::with_credentials(options, &credentials).map_err(BrokerError::NotConnected)?;
        }
        let client = options.connect(self.servers.as_slice()).await;
        let client = client.map_err(|error| BrokerError::NotConnected(error.to_string()))?;
        let mut context = jetstream::new(client);
        context.set_timeout(ANSWER_TIMEOUT);
        self.have_stream(&context).await.map_err(|problem| self.bad_stream(problem))?;
        Ok(Link { context, stream: self.stream.clone() })
    }

    fn bad_stream(&self, problem: String) -> BrokerError {
        BrokerError::Stream { stream: self.stream.clone(), problem }
    }

    async fn have_stream(&self, context: &jetstream::Context) -> Result<(), String> {
        match context.get_stream(&self.stream).await {
            Ok(stream) => self.check(stream.cached_info()),
            Err(error) if is_missing(&error.kind()) => {
                let made = context.create_stream(self.stream_settings()).await;
                made.map(|_| tracing::info!(stream = self.stream, "made the broker's stream"))
                    .map_err(|error| format!("cannot be made: {error}"))
            }
            Err(error) => Err(format!("cannot be looked at: {error}")),
        }
    }

    /// The settings of a stream that is made here.
    fn stream_settings(&self) -> Config {
        Config {
            name: self.stream.clone(),
            description: Some("What happens to payments (Rialto)".to_owned()),
            subjects: vec![self.subjects()],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            num_replicas: 1,
            max_age: self.keep,
            discard: DiscardPolicy::New,
            duplicate_window: KNOWS_AGAIN_FOR,
            allow_direct: true,
            ..Config::default()
        }
    }

    fn subjects(&self) -> String {
        format!("{}.>", self.subject_prefix)
    }

    /// Whether a stream that somebody else made serves.
    fn check(&self, found: &Info) -> Result<(), String> {
        let (config, subjects) = (&found.config, self.subjects());
        if !config.subjects.iter().any(|taken| *taken == subjects || taken == ">") {
            return Err(format!("takes {:?}, expected {subjects:?}", config.subjects));
        }
        if config.no_ack || config.sealed {
            return Err("does not say what it has taken, or takes nothing any more".to_owned());
        }
        if config.duplicate_window < LEAST_KNOWS_AGAIN_FOR {
            let (is, least) = (config.duplicate_window, LEAST_KNOWS_AGAIN_FOR);
            return Err(format!(
                "knows messages again for {is:?} (duplicate_window), expected {least:?} or more"
            ));
        }
        Ok(())
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// A connection to the broker, good until something fails on it.
#[derive(Debug)]
pub struct Link {
    context: jetstream::Context,
    stream: String,
}

impl Link {
    /// Publishes messages, all at once, and waits until the broker has them.
    ///
    /// # Errors
    /// When it does not say that it has one of them; it may have it all the same.
    pub async fn publish(&self, messages: &[Message]) -> Result<(), BrokerError> {
        let mut acknowledgements = Vec::with_capacity(messages.len());
        for message in messages {
            let publish = PublishMessage::build()
                .payload(message.content.clone().into())
                .header("content-type", "application/cloudevents+json; charset=utf-8")
                .message_id(&message.id)
                .expected_stream(&self.stream);
            let sent = self.context.send_publish(message.subject.clone(), publish).await;
            acknowledgements.push((message, sent.map_err(|error| not_taken(message, &error))?));
        }
        for (message, acknowledgement) in acknowledgements {
            acknowledgement.await.map_err(|error| not_taken(message, &error))?;
        }
        Ok(())
    }
}

fn not_taken(message: &Message, error: &dyn std::error::Error) -> BrokerError {
    BrokerError::NotTaken { id: message.id.clone(), problem: error.to_string() }
}
