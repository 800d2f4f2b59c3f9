//! Webhooks that do not come to be, or change, or begin anew.

use proto::webhooks::{
    CreateWebhookEndpointRequest, DeleteWebhookEndpointRequest, ListWebhookDeliveriesRequest,
    ListWebhookEndpointsRequest, ReplayWebhookEventsRequest, RotateWebhookSecretRequest,
    UpdateWebhookEndpointRequest, WebhookFilter,
};
use tonic::Code;

use crate::{
    bench::{Given, Row, bearer, invalid, nobody, not_found, precondition, refused, unique},
    values,
};

const CREATE: &str = "/rialto.webhooks.v1.WebhookService/CreateWebhookEndpoint";
const LIST: &str = "/rialto.webhooks.v1.WebhookService/ListWebhookEndpoints";
const UPDATE: &str = "/rialto.webhooks.v1.WebhookService/UpdateWebhookEndpoint";
const ROTATE: &str = "/rialto.webhooks.v1.WebhookService/RotateWebhookSecret";
const DELIVERIES: &str = "/rialto.webhooks.v1.WebhookService/ListWebhookDeliveries";
const REPLAY: &str = "/rialto.webhooks.v1.WebhookService/ReplayWebhookEvents";
const DELETE: &str = "/rialto.webhooks.v1.WebhookService/DeleteWebhookEndpoint";

/// A URL that an endpoint has already.
pub const TAKEN: &str = "https://shop.example/taken";

/// URLs that nothing is posted to, with their numbers in the list.
fn urls() -> Vec<(u16, &'static str, String)> {
    let mut bad: Vec<(u16, &str, String)> = [
        (154, "plaintext", "http://shop.example/canary-label"),
        (154, "FTP", "ftp://shop.example/"),
        (154, "a file", "file:///etc/passwd"),
        (154, "gopher", "gopher://shop.example/"),
        (154, "data", "data:text/plain,canary-label"),
        (154, "a script", "javascript:alert(1)"),
        (154, "no scheme", "shop.example/hooks"),
        (154, "only a scheme", "https://"),
        (155, "a user", "https://canary-label@shop.example/"),
        (155, "a user and a password", "https://user:canary-label@shop.example/"),
        (155, "an empty user", "https://@shop.example/"),
        (155, "a fragment", "https://shop.example/#part"),
        (155, "port 0", "https://shop.example:0/"),
        (155, "port 22", "https://shop.example:22/"),
        (155, "port 25", "https://shop.example:25/"),
        (155, "port 65536", "https://shop.example:65536/"),
        (156, "loopback", "https://127.0.0.1/"),
        (156, "private", "https://10.1.2.3/"),
        (156, "private", "https://172.16.0.1/"),
        (156, "private", "https://192.168.1.1/"),
        (156, "shared", "https://100.64.0.1/"),
        (156, "the metadata of a cloud", "https://169.254.169.254/latest/meta-data/"),
        (156, "documentation", "https://203.0.113.1/"),
        (156, "multicast", "https://224.0.0.1/"),
        (156, "broadcast", "https://255.255.255.255/"),
        (157, "no address", "https://[::]/"),
        (157, "loopback of IPv6", "https://[::1]/"),
        (157, "loopback, mapped", "https://[::ffff:127.0.0.1]/"),
        (157, "link-local", "https://[fe80::1]/"),
        (157, "unique local", "https://[fd00:ec2::254]/"),
        (157, "multicast of IPv6", "https://[ff02::1]/"),
        (157, "documentation of IPv6", "https://[2001:db8::1]/"),
        (157, "documentation of IPv6", "https://[3fff::1]/"),
        (157, "6to4", "https://[2002:7f00:1::]/"),
        (157, "NAT64", "https://[64:ff9b::7f00:1]/"),
        (157, "discarded", "https://[100::1]/"),
        (157, "a zone", "https://[fe80::1%25eth0]/"),
        (158, "an address in one number", "https://2130706433/"),
        (158, "an octal address", "https://0177.0.0.1/"),
        (158, "a hexadecimal address", "https://0x7f.1/"),
        (158, "a short address", "https://127.1/"),
        (158, "full-width digits", "https://１２７.0.0.1/"),
        (158, "a dot behind", "https://localhost./"),
        (158, "a dot behind", "https://shop.example./"),
        (158, "escaped digits", "https://%31%32%37.0.0.1/"),
        (161, "this machine", "https://localhost/"),
        (161, "a service of the cluster", "https://gateway.rialto.svc.cluster.local/"),
        (161, "a service of the cluster", "https://gateway.rialto.svc/"),
        (161, "the metadata by name", "https://metadata.google.internal/"),
        (161, "a name of this network", "https://intranet/"),
        (163, "a line feed", "https://shop.example/\nx-header: 1"),
        (163, "CR LF", "https://shop.example/\r\nhost: x"),
        (163, "a space", "https://shop.example/a b"),
        (163, "a NUL", "https://shop.example/\0"),
    ]
    .into_iter()
    .map(|(number, name, url)| (number, name, url.to_owned()))
    .collect();
    bad.push((154, "2,049 characters", format!("https://shop.example/{}", "x".repeat(2_049 - 21))));
    bad.push((
        154,
        "2,048 characters that become more",
        format!("https://shop.example/{}", "\"".repeat(2_027)),
    ));
    bad
}

/// Everything that is wrong with webhooks.
pub fn rows(given: &Given) -> Vec<Row> {
    let good = || CreateWebhookEndpointRequest {
        request_id: unique("bad-webhook"),
        url: format!("https://shop.example/{}", unique("hook")),
        states: Vec::new(),
    };
    let change = || UpdateWebhookEndpointRequest {
        webhook_endpoint: given.webhook_endpoint.clone(),
        ..UpdateWebhookEndpointRequest::default()
    };
    let nobodys = || nobody("we_");
    let rotation = || RotateWebhookSecretRequest {
        request_id: unique("bad-rotation"),
        webhook_endpoint: nobodys(),
        overlap: None,
    };
    let taken = || refused(Code::AlreadyExists, "WEBHOOK_URL_TAKEN");
    let url_taken = CreateWebhookEndpointRequest { url: TAKEN.to_owned(), ..good() };
    let same_url =
        CreateWebhookEndpointRequest { url: "HTTPS://Shop.Example:443/taken".to_owned(), ..good() };
    let reused = CreateWebhookEndpointRequest { request_id: "given-webhook".to_owned(), ..good() };
    let too_many =
        given.row(166, CREATE, "one more than 100", &good(), precondition("TOO_MANY_WEBHOOK_ENDPOINTS"));
    let update = UpdateWebhookEndpointRequest { webhook_endpoint: nobodys(), ..change() };
    let move_to_taken = UpdateWebhookEndpointRequest { url: TAKEN.to_owned(), ..change() };
    let deliveries = ListWebhookDeliveriesRequest {
        webhook_endpoint: nobodys(),
        ..ListWebhookDeliveriesRequest::default()
    };
    let replay =
        ReplayWebhookEventsRequest { webhook_endpoint: nobodys(), ..ReplayWebhookEventsRequest::default() };
    let delete = DeleteWebhookEndpointRequest { webhook_endpoint: nobodys() };
    let empty = CreateWebhookEndpointRequest::default();
    let mut rows = vec![
        given.row(0, CREATE, "empty", &empty, invalid(&["request_id", "url"])),
        given.row(166, CREATE, "a URL twice", &url_taken, taken()),
        given.row(166, CREATE, "a URL twice, otherwise written", &same_url, taken()),
        given.row(0, CREATE, "a request id twice", &reused, precondition("REQUEST_ID_REUSED")),
        Row { metadata: vec![bearer(&given.other)], ..too_many },
        given.row(0, UPDATE, "none", &update, not_found()),
        given.row(166, UPDATE, "to a URL that another one has", &move_to_taken, taken()),
        given.row(0, ROTATE, "none", &rotation(), not_found()),
        given.row(0, DELIVERIES, "none", &deliveries, not_found()),
        given.row(169, REPLAY, "none", &replay, not_found()),
        given.row(0, DELETE, "none", &delete, not_found()),
    ];
    // What is another's.
    let endpoint = given.webhook_endpoint.clone();
    let others = [
        given.row(169, UPDATE, "another's", &change(), not_found()),
        given.row(
            169,
            ROTATE,
            "another's",
            &RotateWebhookSecretRequest { webhook_endpoint: endpoint.clone(), ..rotation() },
            not_found(),
        ),
        given.row(
            169,
            DELIVERIES,
            "another's",
            &ListWebhookDeliveriesRequest { webhook_endpoint: endpoint.clone(), ..deliveries.clone() },
            not_found(),
        ),
        given.row(
            169,
            REPLAY,
            "another's",
            &ReplayWebhookEventsRequest { webhook_endpoint: endpoint.clone(), ..replay },
            not_found(),
        ),
        given.row(
            169,
            DELETE,
            "another's",
            &DeleteWebhookEndpointRequest { webhook_endpoint: endpoint },
            not_found(),
        ),
    ];
    for key in [&given.other, &given.house] {
        rows.extend(others.iter().map(|row| Row {
            number: row.number,
            name: row.name.clone(),
            path: row.path,
            metadata: vec![bearer(key)],
            messages: row.messages.clone(),
            refused: row.refused.clone(),
        }));
    }
    for (number, name, url) in urls() {
        let create = CreateWebhookEndpointRequest { url: url.clone(), ..good() };
        let update = UpdateWebhookEndpointRequest { url, ..change() };
        rows.push(given.row(number, CREATE, format!("url: {name}"), &create, invalid(&["url"])));
        rows.push(given.row(number, UPDATE, format!("url: {name}"), &update, invalid(&["url"])));
    }
    for (name, states, field) in [
        ("none at all", vec![0], "states[0]"),
        ("one that there is not", vec![3, 77], "states[1]"),
        ("a negative one", vec![-1], "states[0]"),
        ("one twice", vec![3, 4, 3], "states[2]"),
    ] {
        let create = CreateWebhookEndpointRequest { states: states.clone(), ..good() };
        let filter = Some(WebhookFilter { states });
        let update = UpdateWebhookEndpointRequest { filter, ..change() };
        let of_filter = match field {
            "states[0]" => "filter.states[0]",
            "states[1]" => "filter.states[1]",
            _ => "filter.states[2]",
        };
        rows.push(given.row(166, CREATE, format!("states: {name}"), &create, invalid(&[field])));
        rows.push(given.row(166, UPDATE, format!("states: {name}"), &update, invalid(&[of_filter])));
    }
    for (name, request_id) in values::request_ids() {
        let create = CreateWebhookEndpointRequest { request_id: request_id.clone(), ..good() };
        let rotate = RotateWebhookSecretRequest { request_id, ..rotation() };
        rows.push(given.row(85, CREATE, name, &create, invalid(&["request_id"])));
        rows.push(given.row(85, ROTATE, name, &rotate, invalid(&["request_id"])));
    }
    for (name, id) in values::ids("we_") {
        let field = || invalid(&["webhook_endpoint"]);
        let update = UpdateWebhookEndpointRequest { webhook_endpoint: id.clone(), ..change() };
        let rotate = RotateWebhookSecretRequest { webhook_endpoint: id.clone(), ..rotation() };
        let deliveries = ListWebhookDeliveriesRequest { webhook_endpoint: id.clone(), ..deliveries.clone() };
        let replay = ReplayWebhookEventsRequest {
            webhook_endpoint: id.clone(),
            ..ReplayWebhookEventsRequest::default()
        };
        let delete = DeleteWebhookEndpointRequest { webhook_endpoint: id };
        rows.push(given.row(58, UPDATE, name, &update, field()));
        rows.push(given.row(58, ROTATE, name, &rotate, field()));
        rows.push(given.row(58, DELIVERIES, name, &deliveries, field()));
        rows.push(given.row(58, REPLAY, name, &replay, field()));
        rows.push(given.row(58, DELETE, name, &delete, field()));
    }
    rows.extend(time_rows(given));
    rows
}

fn time_rows(given: &Given) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, seconds, nanos) in [
        ("a second less than nothing", -1, 0),
        ("more than 30 days", 30 * 86_400, 1),
        ("the largest", i64::MAX, 999_999_999),
        ("the smallest", i64::MIN, 0),
    ] {
        let rotate = RotateWebhookSecretRequest {
            request_id: unique("bad-rotation"),
            webhook_endpoint: nobody("we_"),
            overlap: Some(prost_types::Duration { seconds, nanos }),
        };
        rows.push(given.row(77, ROTATE, format!("overlap: {name}"), &rotate, invalid(&["overlap"])));
    }
    let time = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    for (name, start_time, end_time, field) in [
        ("before 1970", time(-1, 0), None, "start_time"),
        ("year 10000", None, time(253_402_300_800, 0), "end_time"),
        ("nanos -1", time(1, -1), None, "start_time"),
        ("the end before the beginning", time(2, 0), time(1, 0), "end_time"),
    ] {
        let webhook_endpoint = given.webhook_endpoint.clone();
        let replay = ReplayWebhookEventsRequest { webhook_endpoint, start_time, end_time };
        rows.push(given.row(77, REPLAY, name, &replay, invalid(&[field])));
    }
    for (name, page_size, page_token, field) in [
        ("a negative size", -1, String::new(), "page_size"),
        ("a token of nobody", 0, "AAAA".to_owned(), "page_token"),
    ] {
        let list = ListWebhookEndpointsRequest { page_size, page_token: page_token.clone() };
        let webhook_endpoint = given.webhook_endpoint.clone();
        let deliveries = ListWebhookDeliveriesRequest { webhook_endpoint, page_size, page_token };
        rows.push(given.row(0, LIST, name, &list, invalid(&[field])));
        rows.push(given.row(0, DELIVERIES, name, &deliveries, invalid(&[field])));
    }
    rows
}
