//! Delivery of what a bank says unasked, and how it was answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Duration, sleep};

use crate::jws::SIGNATURE;
use crate::tls::NoticeFiles;

/// How long the receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause before a notice is sent again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Most notices under way at once.
const MAX_UNDER_WAY: usize = 64;

/// The one who delivers notices.
#[derive(Debug)]
pub struct Notifier {
    client: Client,
    url: watch::Sender<Option<Url>>,
    places: Semaphore,
    answers: Mutex<BTreeMap<u16, u64>>,
    unreachable: AtomicU64,
    open: AtomicU64,
}

/// How notices were answered, every try counted.
#[derive(Debug, Serialize)]
pub struct NoticeCounts {
    /// By HTTP status.
    answers: BTreeMap<u16, u64>,
    /// No answer at all.
    unreachable: u64,
    /// Planned or sent, and neither taken nor refused yet.
    open: u64,
}

impl Notifier {
    /// Delivers to `url`, with `files` over TLS; without a URL, notices wait until it is told.
    pub fn new(url: Option<Url>, files: Option<&NoticeFiles>) -> Result<Self, String> {
        let mut client = Client::builder().timeout(TIMEOUT).redirect(Policy::none()).no_proxy();
        if let Some(files) = files {
            client = files.client(client)?;
        }
        Ok(Self {
            client: client.build().map_err(|error| error.to_string())?,
            url: watch::Sender::new(url),
            places: Semaphore::new(MAX_UNDER_WAY),
            answers: Mutex::default(),
            unreachable: AtomicU64::new(0),
            open: AtomicU64::new(0),
        })
    }

    /// Delivers to `url` from now on.
    pub fn set_url(&self, url: Url) {
        self.url.send_replace(Some(url));
    }

    /// How notices were answered so far.
    pub fn counts(&self) -> NoticeCounts {
        NoticeCounts {
            answers: self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            unreachable: self.unreachable.load(Ordering::Relaxed),
            open: self.open.load(Ordering::Relaxed),
        }
    }

    /// Counts `copies` as open, from when they are planned, so that nobody mistakes a pause for the end.
    pub fn plan(&self, copies: u32) {
        self.open.fetch_add(copies.into(), Ordering::Relaxed);
    }

    /// Sends `xml`, which was planned, until it is taken (200) or refused (400 to 499), and returns that status.
    pub async fn deliver(&self, xml: &str, signatures: &[String], traceparent: Option<&str>) -> u16 {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_once(xml, signatures, traceparent).await {
                Some(status @ (200 | 400..=499)) => {
                    self.open.fetch_sub(1, Ordering::Relaxed);
                    return status;
                }
                _ => sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The status that one try was answered with; none if it was not answered.
    async fn try_once(&self, xml: &str, signatures: &[String], traceparent: Option<&str>) -> Option<u16> {
        let url = self.url.subscribe().wait_for(Option::is_some).await.ok()?.clone()?;
        let _place = self.places.acquire().await.ok()?;
        let request = self.client.post(url).header(CONTENT_TYPE, "application/xml; charset=utf-8");
        let request = signatures.iter().fold(request, |request, signed| request.header(SIGNATURE, signed));
        let request =
            traceparent.into_iter().fold(request, |request, own| request.header("traceparent", own));
        let Ok(response) = request.body(xml.to_owned()).send().await else {
            self.unreachable.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let status = response.status().as_u16();
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
        Some(status)
    }
}
