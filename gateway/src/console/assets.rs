//! What pages load, embedded in the program.

use axum::{
    extract::Path,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Serves an asset.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let (kind, bytes): (_, &[u8]) = match name.as_str() {
        "console.css" => (STYLE, include_bytes!("../../console/assets/console.css")),
        "overview.js" => (SCRIPT, include_bytes!("../../console/assets/overview.js")),
        "payment.js" => (SCRIPT, include_bytes!("../../console/assets/payment.js")),
        "receipt.js" => (SCRIPT, include_bytes!("../../console/assets/receipt.js")),
        "icon.svg" => ("image/svg+xml", include_bytes!("../../console/assets/icon.svg")),
        "uplot-1.6.32/uPlot.esm.js" => {
            (SCRIPT, include_bytes!("../../console/assets/uplot-1.6.32/uPlot.esm.js"))
        }
        "uplot-1.6.32/uPlot.min.css" => {
            (STYLE, include_bytes!("../../console/assets/uplot-1.6.32/uPlot.min.css"))
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(CONTENT_TYPE, kind)], bytes).into_response()
}

#[cfg(test)]
mod tests;
