//! Cells: each a set of platforms with a ledger of its own.

use std::fmt;

use serde::Deserialize;

/// One of the cells that a gateway serves. People read and write its number: from 1, in the order of `--platform`. The first one is meant
/// where none is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "u32")]
pub struct Cell(usize);

impl Cell {
    /// Every cell that there can be, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).map(Self)
    }

    /// Where its own stands in what there is one of for each cell.
    pub fn place(self) -> usize {
        self.0
    }
}

impl TryFrom<u32> for Cell {
    type Error = &'static str;

    fn try_from(number: u32) -> Result<Self, &'static str> {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        place.map(Self).ok_or("cells are numbered from 1")
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.saturating_add(1).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbered_from_one() {
        let second = Cell::all().nth(1);
        assert_eq!(Cell::try_from(2).ok(), second);
        assert_eq!(second.map(|cell| (cell.to_string(), cell.place())), Some(("2".to_owned(), 1)));
        assert_eq!(Cell::try_from(1), Ok(Cell::default()));
        assert!(Cell::try_from(0).is_err());
    }
}
