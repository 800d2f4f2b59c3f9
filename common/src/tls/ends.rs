//! When the certificates end that are in use, so that somebody can be called before.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::live::Contents;
use crate::metrics;

/// The certificates of everything that is in use, as long as it is.
static IN_USE: Mutex<Vec<Weak<Ends>>> = Mutex::new(Vec::new());

/// Of each file with certificates: when the first of them ends, in seconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Vec<(PathBuf, u64)>>);

impl Ends {
    /// The ends of what these files hold, shown until it is dropped.
    pub(super) fn shown(files: &[Contents]) -> Arc<Self> {
        let ends = Arc::new(Self::default());
        ends.set(files);
        let mut in_use = locked(&IN_USE);
        in_use.retain(|ends| ends.strong_count() > 0);
        in_use.push(Arc::downgrade(&ends));
        ends
    }

    /// The files hold something else now.
    pub(super) fn set(&self, files: &[Contents]) {
        let end = |contents: &Contents| Some((contents.file.clone(), first_end(&contents.bytes)?));
        *locked(&self.0) = files.iter().filter_map(end).collect();
    }
}

fn first_end(pem: &[u8]) -> Option<u64> {
    let end = |certificate: CertificateDer<'_>| {
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).ok()?;
        u64::try_from(parsed.validity().not_after.timestamp()).ok()
    };
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).filter_map(end).min()
}

/// Has `/metrics` show them.
pub(crate) fn observe() {
    let what = "When the first certificate in a file that is in use ends, in seconds since 1970";
    metrics::observed("rialto.certificate.end", "s", what, |observer| {
        let in_use = locked(&IN_USE).clone();
        for ends in in_use.iter().filter_map(Weak::upgrade) {
            for (file, end) in locked(&ends.0).iter() {
                let labels = [metrics::label("rialto.certificate.file", file.display().to_string())];
                observer.observe(metrics::figure(*end), &labels);
            }
        }
    });
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, years: &[i32]) -> Contents {
        let pem = |year: &i32| {
            let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(*year, 1, 1);
            params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
        };
        Contents { file: name.into(), bytes: years.iter().map(pem).collect::<String>().into_bytes() }
    }

    #[test]
    fn the_first_end_counts_until_the_file_is_replaced_or_used_no_more() {
        let is_shown = |name: &str| {
            let in_use = locked(&IN_USE).clone();
            let ends = in_use.iter().filter_map(Weak::upgrade);
            let mut found = ends.flat_map(|ends| locked(&ends.0).clone());
            found.find(|(file, _)| file.to_str() == Some(name)).map(|(_, end)| end)
        };
        let key = Contents { file: "ends.key".into(), bytes: b"no certificate".to_vec() };
        let ends = Ends::shown(&[file("ends.pem", &[2050, 2040]), key]);
        assert_eq!((is_shown("ends.pem"), is_shown("ends.key")), (Some(2_208_988_800), None));
        ends.set(&[file("ends.pem", &[2041])]);
        assert_eq!(is_shown("ends.pem"), Some(2_240_611_200));
        drop(ends);
        assert_eq!(is_shown("ends.pem"), None);
    }
}
