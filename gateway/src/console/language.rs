//! What the console says, in each of its languages.

use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};

use super::cookie;

/// The cookie that remembers a choice.
const COOKIE: &str = "rialto_language";

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// English.
    English,
    /// 简体中文.
    Chinese,
}

impl Language {
    /// Its tag (BCP 47).
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }

    /// What has the browser remember it.
    pub(super) fn cookie(self) -> String {
        format!("{COOKIE}={}; Path=/console; HttpOnly; SameSite=Strict; Max-Age=31536000", self.tag())
    }

    fn tagged(tag: &str) -> Option<Self> {
        [Self::English, Self::Chinese].into_iter().find(|language| language.tag() == tag)
    }

    /// What it says.
    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }

    /// The language that was asked for in so many words, `?lang=`.
    pub(super) fn asked(query: Option<&str>) -> Option<Self> {
        query?.split('&').find_map(|pair| Self::tagged(pair.strip_prefix("lang=")?))
    }

    /// The language for whoever sends these headers: as they chose, or else the first that their browser names and there is.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if let Some(chosen) = cookie(headers, COOKIE).and_then(Self::tagged) {
            return chosen;
        }
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let named = accepted.split([',', ';']).map(|part| part.trim().to_ascii_lowercase());
        let known = |tag: String| match tag.split('-').next() {
            Some("zh") => Some(Self::Chinese),
            Some("en") => Some(Self::English),
            _ => None,
        };
        named.filter_map(known).next().unwrap_or(Self::English)
    }
}

/// Declares every text once, with what it is in each language, so that none can lack one.
macro_rules! texts {
    ($($name:ident: $english:literal, $chinese:literal;)*) => {
        /// Every text.
        #[derive(Debug)]
        pub(super) struct Texts { $(pub(super) $name: &'static str,)* }
        const ENGLISH: Texts = Texts { $($name: $english,)* };
        const CHINESE: Texts = Texts { $($name: $chinese,)* };
        #[cfg(test)]
        const ALL: &[(&str, &str, &str)] = &[$((stringify!($name), $english, $chinese),)*];
    };
}

texts! {
    title: "Rialto console", "Rialto 控制台";
    skip: "Skip to the content", "跳到正文";
    overview: "Overview", "概览";
    payments: "Payments", "付款";
    balance: "Trial balance", "试算平衡";
    webhooks: "Webhooks", "Webhook";
    navigation: "Pages", "页面";
    other_language: "简体中文", "English";
    sign_in: "Sign in", "登录";
    sign_out: "Sign out", "退出";
    api_key: "API key", "API 密钥";
    api_key_hint: "Of the role operator or auditor. It is sent to this gateway alone, kept in its memory until you sign out, and written nowhere.", "须具有 operator 或 auditor 角色。密钥只发送给本网关，仅保存在其内存中直到退出，不会写入任何地方。";
    not_known: "This key is not known here.", "此处不认识该密钥。";
    not_allowed: "This key may not use the console: it takes the role operator or auditor.", "该密钥不能使用控制台：需要 operator 或 auditor 角色。";
    too_many_tries: "Too many unknown keys came from this address. Try again in a minute.", "来自此地址的未知密钥过多，请一分钟后再试。";
    not_now: "Whether the key works cannot be told at present. Try again in a moment.", "目前无法判断密钥是否有效，请稍后再试。";
    too_many_sessions: "Too many people are signed in. Try again later.", "登录人数过多，请稍后再试。";
    bad_form: "This form cannot be read.", "无法读取此表单。";
    session_over: "You were signed out: the session is over, or the key works no more.", "已退出：会话已结束，或密钥不再有效。";
    signed_out: "You are signed out.", "已退出登录。";
    signed_in_as: "Signed in as", "当前身份";
    problem: "This did not work", "操作未成功";
    utc: "All times are UTC.", "所有时间均为 UTC。";
    none: "None.", "无。";
    none_yet: "Nothing here yet.", "暂无内容。";
    live: "live", "实时";
    stale: "not current: the last look failed", "非最新：最近一次刷新失败";
    last_minutes_5: "The last 5 minutes", "最近 5 分钟";
    last_minute: "The last minute (there are too many payments for more)", "最近 1 分钟（付款过多，无法显示更长时间）";
    of_everybody: "Of all participants", "全部参与者";
    payments_made: "Payments", "付款数";
    per_second: "per second", "每秒";
    success_rate: "Success rate", "成功率";
    median: "Median time", "中位耗时";
    slowest: "99 in 100 within", "99% 不超过";
    outcomes: "Outcomes per second", "每秒结果";
    latency: "Time to the end, in ms", "到终态耗时（毫秒）";
    succeeded: "Succeeded", "成功";
    failed: "Failed", "失败";
    open: "Open", "未结束";
    unknown: "Unknown", "未知";
    as_table: "The figures as a table", "以表格显示数据";
    begins: "From", "开始";
    no_script: "Charts need JavaScript; the table has the same figures. This page renews itself every 10 seconds.", "图表需要 JavaScript；表格中有相同数据。本页每 10 秒自动更新。";
    banks: "Banks", "银行";
    bank: "Bank", "银行";
    on_ledger: "on this ledger", "本账本";
    reachable: "Reachable", "可达";
    unreachable: "Unreachable: breaker open", "不可达：断路器已断开";
    state: "State", "状态";
    since: "Since", "自";
    meanwhile_held: "payments wait", "付款等待";
    meanwhile_refused: "payments are refused", "拒绝付款";
    in_flight: "Under way", "进行中";
    bank_figures: "Payments, success and times are yours, of the time shown above.", "付款、成功率和耗时均为您在上述时间内的数据。";
    open_unknown: "Payments whose end is unknown", "结果未知的付款";
    open_unknown_hint: "The money stays held until there is evidence. Do not pay again.", "在取得证据之前资金保持冻结。请勿重复付款。";
    age: "Age", "已历时";
    alarms: "Alarms", "警报";
    kind: "Kind", "类型";
    payment: "Payment", "付款";
    amount: "Amount", "金额";
    payee: "Payee", "收款人";
    made: "Made", "创建于";
    find: "Find", "查找";
    find_one: "Payment id or request id", "付款编号或请求编号";
    narrow: "List", "列出";
    payer_account: "Paying account", "付款账户";
    any_state: "Any state", "任意状态";
    from_time: "From (UTC)", "从 (UTC)";
    until_time: "Before (UTC)", "早于 (UTC)";
    not_found: "Nothing of yours has this id.", "没有属于您的此编号。";
    older: "Older", "更早";
    house_sees_no_payments: "The house sees nobody's payments: sign in with a participant's key.", "平台方看不到任何人的付款：请使用参与者的密钥登录。";
    steps: "What happened", "经过时间线";
    request_id: "Request id", "请求编号";
    account_label: "Account", "账户";
    remittance: "Remittance information", "附言";
    uetr: "UETR", "UETR";
    end_to_end: "End-to-end id", "端到端编号";
    trace: "Trace id", "追踪编号";
    no_trace: "not sampled, or no longer kept", "未采样，或已不再保留";
    original: "Belongs to", "所属付款";
    message_sent: "Message to the bank", "发给银行的报文";
    message_received: "Evidence: the bank's message", "证据：银行报文";
    valid_until: "the bank refuses it after", "银行拒收时间";
    show_sent: "Show it", "显示报文";
    written_anew: "Written anew from what is on record, without the signature.", "根据记录重新生成，不含签名。";
    show_received: "Show what the bank said", "显示银行报文";
    show_late: "Show what the bank said when the books were closed", "显示结账后收到的银行报文";
    messages_hint: "Of a bank that only accepted what was sent, the id of its message is on record, not the message.", "银行仅确认受理时，只保存其报文编号，不保存报文。";
    transfers: "Transfers", "转账";
    transfer: "Transfer", "转账";
    debit: "Debit", "借方";
    credit: "Credit", "贷方";
    house_account: "the house (bank settlement)", "平台方（银行结算）";
    booked: "Booked", "入账于";
    nothing_moved: "No money has moved.", "尚无资金变动。";
    pending_work: "To be done", "待办";
    work_due: "due", "到期";
    work_tries: "times taken up", "次处理";
    related: "Captures and refunds", "请款与退款";
    resolutions: "What operators decided", "操作员的裁定";
    proposed: "proposed", "提议";
    approved: "approved", "批准";
    receipt: "Receipt", "回执";
    receipt_hint: "Shows that the payment stands in the signed audit log, checked in this browser.", "证明付款已记入签名的审计日志，在本浏览器中验证。";
    receipt_later: "There is one when the payment is over and sealed.", "付款结束并封存后才有回执。";
    log_key: "The log's public key", "日志公钥";
    log_key_hint: "Take it from whoever runs the log, by another way than this page: what came with the page would vouch for the page alone. The browser remembers it.", "请通过本页面以外的途径从日志运营者处取得：随页面而来的公钥只能证明页面自身。浏览器会记住它。";
    verify: "Verify", "验证";
    download: "Download", "下载";
    verifying: "Verifying …", "正在验证……";
    verified: "The receipt is genuine: every step is in the log with so many leaves:", "回执真实：每一步都在日志中，日志叶子数：";
    verified_other: "The receipt is genuine, but says something else than this page:", "回执真实，但与本页内容不一致：";
    not_verified: "The receipt shows nothing:", "回执无法证明任何内容：";
    no_receipt: "There is no receipt:", "没有回执：";
    needs_script: "Verifying needs JavaScript. The receipt can be downloaded, and verified with platform verify-receipt.", "验证需要 JavaScript。可下载回执并用 platform verify-receipt 验证。";
    currency: "Currency", "货币";
    debits: "Debits", "借方";
    credits: "Credits", "贷方";
    held: "Held", "冻结";
    expected: "Expected", "待入账";
    checks: "What always holds", "始终成立";
    check_equal: "All debits equal all credits", "借方总额等于贷方总额";
    check_holds: "What accounts hold is what payments under way hold", "账户冻结额等于进行中付款的冻结额";
    check_overdrawn: "No account is overdrawn", "没有账户透支";
    holds: "holds", "成立";
    violated: "DOES NOT HOLD, in so many places:", "不成立，出现处数：";
    accounts_count: "accounts", "个账户";
    taken_at: "Taken", "生成于";
    balance_own: "Of your accounts. The other side of each booking is the house's, whose balance is the whole ledger's.", "您的账户。每笔记账的另一方属于平台方，平台方的试算平衡涵盖整个账本。";
    balance_all: "Of every account of the ledger. The transfers themselves are recomputed by platform trial-balance.", "账本的全部账户。转账由 platform trial-balance 重新计算。";
    endpoints: "Endpoints", "端点";
    endpoint: "Endpoint", "端点";
    url: "URL", "网址";
    hears: "Hears of", "通知内容";
    every_step: "every step", "每一步";
    active: "Posting", "投递中";
    disabled: "Disabled", "已停用";
    failing: "Failing", "失败中";
    attempts_in_row: "attempts in a row failed", "次连续失败";
    is_replaying: "A replay is under way.", "正在重放。";
    deliveries: "Deliveries", "投递";
    event: "Event", "事件";
    attempts: "Attempts", "尝试次数";
    last_attempt: "Last attempt", "最近尝试";
    next_attempt: "Next", "下次";
    answer: "Answer", "应答";
    delivery_waiting: "Waiting", "等待";
    delivery_due: "Due", "待投递";
    delivery_delivered: "Delivered", "已投递";
    delivery_given_up: "Given up", "已放弃";
    replay: "Replay", "重放";
    replay_hint: "Delivers again, with the same webhook-id, what happened in this time; all that is kept if both are empty.", "以相同的 webhook-id 重新投递此时间内发生的事件；两项都为空则投递全部保留的事件。";
    replay_begun: "The replay has begun; it goes on by itself.", "重放已开始，将自动进行。";
    replay_signed: "Calls with this key must be signed (docs/signing.md), which a browser does not do: it can read here, and not replay.", "使用该密钥的调用必须签名（docs/signing.md），浏览器无法签名：在此只能读取，不能重放。";
    replay_operator: "Replaying takes the role operator.", "重放需要 operator 角色。";
    state_submitted: "Submitted", "已提交";
    state_unknown: "Unknown", "未知";
    state_succeeded: "Succeeded", "成功";
    state_failed: "Failed", "失败";
    state_authorized: "Authorized", "已授权";
    state_held: "Held", "冻结待发";
    state_cancelled: "Cancelled", "已取消";
    state_expired: "Expired", "已过期";
    state_investigate: "Investigate", "待查";
    kind_payment: "Payment", "付款";
    kind_authorization: "Authorization", "预授权";
    kind_capture: "Capture", "请款";
    kind_refund: "Refund", "退款";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_there_in_every_language() {
        // Names of standards are the same everywhere.
        let same = ["uetr"];
        for (name, english, chinese) in ALL {
            assert!(!english.trim().is_empty() && !chinese.trim().is_empty(), "{name}");
            assert!(english != chinese || same.contains(name), "{name} is not translated");
            let is_chinese = |c: char| ('\u{4E00}'..='\u{9FFF}').contains(&c);
            let is_name = ["other_language", "webhooks"].contains(name);
            assert!(is_name || same.contains(name) || chinese.chars().any(is_chinese), "{name}: {chinese}");
            assert!(is_name || !english.chars().any(is_chinese), "{name}: {english}");
            assert_eq!(
                english.ends_with(':'),
                chinese.ends_with('：'),
                "{name}: what follows goes on in both"
            );
        }
    }

    #[test]
    fn a_choice_counts_more_than_the_browser() {
        let headers = |cookie: &str, accepted: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("cookie", cookie.parse().expect("a value"));
            headers.insert("accept-language", accepted.parse().expect("a value"));
            Language::of(&headers)
        };
        assert_eq!(headers("", "zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese);
        assert_eq!(headers("", "de;q=0.9,en-GB"), Language::English);
        assert_eq!(headers("", "fr"), Language::English);
        assert_eq!(headers("a=b; rialto_language=en", "zh"), Language::English);
        assert_eq!(headers("rialto_language=zh-Hans", "en"), Language::Chinese);
        assert_eq!(headers("rialto_language=tlh", "zh"), Language::Chinese);
        assert_eq!(Language::asked(Some("a=1&lang=zh-Hans")), Some(Language::Chinese));
        assert_eq!(Language::asked(Some("lang=tlh")), None);
        assert_eq!(Language::asked(None), None);
    }
}
