//! Lists that are longer than one answer.

use tonic::Status;

use crate::failure::Failure;

/// How many.
#[derive(clap::Args, Debug)]
pub struct LimitArgs {
    /// How many at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// What one call returns at most: such an answer stays well below what gRPC takes at once.
const LARGEST_PAGE: usize = 200;

impl LimitArgs {
    /// Reads page after page, until there are enough or no more: `page` takes a page's size and token, and returns what is on it with
    /// the token of the next. Returns all with the last token, which is empty when that is all there is.
    ///
    /// # Errors
    /// When one can't be read.
    pub async fn read<T, F: Future<Output = Result<(Vec<T>, String), Status>>>(
        &self,
        page: impl Fn(i32, String) -> F,
    ) -> Result<(Vec<T>, String), Failure> {
        let (mut all, mut next) = (Vec::new(), String::new());
        while let Some(size) = self.page_size(all.len()) {
            let (found, token) = page(size, next).await.map_err(Failure::read)?;
            all.extend(found);
            next = token;
            if next.is_empty() {
                break;
            }
        }
        Ok((all, next))
    }

    /// How many to ask for when there are so many; none when there are enough.
    fn page_size(&self, have: usize) -> Option<i32> {
        let missing = usize::try_from(self.limit).unwrap_or(usize::MAX).saturating_sub(have);
        (missing > 0).then(|| i32::try_from(missing.min(LARGEST_PAGE)).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads from a list of so many, with this limit.
    async fn read(limit: u32, there_are: i32) -> (Vec<i32>, String) {
        let page = |size: i32, token: String| async move {
            let from: i32 = token.parse().unwrap_or(0);
            let to = there_are.min(from + size);
            Ok(((from..to).collect(), if to < there_are { to.to_string() } else { String::new() }))
        };
        LimitArgs { limit }.read(page).await.unwrap()
    }

    #[tokio::test]
    async fn pages_come_to_the_limit_or_to_the_end() {
        assert_eq!(read(450, 1000).await, ((0..450).collect(), "450".to_owned()));
        assert_eq!(read(450, 450).await, ((0..450).collect(), String::new()));
        assert_eq!(read(450, 7).await, ((0..7).collect(), String::new()));
        assert_eq!(read(1, 0).await, (Vec::new(), String::new()));
        let failing =
            LimitArgs { limit: 5 }.read(async |_, _| Err::<(Vec<u8>, _), _>(Status::not_found(""))).await;
        assert!(failing.is_err());
    }
}
