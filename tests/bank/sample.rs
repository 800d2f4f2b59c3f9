//! Messages for tests, written by hand and apart from the code that reads them. Unit tests and black-box tests share
//! this file.

/// A pacs.008 in the making; a test changes the fields that matter to it.
#[derive(Debug, Clone)]
pub struct Order {
    /// `MsgId`, `InstrId` and `TxId`.
    pub message_id: String,
    /// `UETR`.
    pub uetr: String,
    /// Decimal text.
    pub amount: String,
    /// The creditor's account, as an IBAN.
    pub iban: String,
    /// `AccptncDtTm`.
    pub accepted_at: String,
}

impl Order {
    /// An order that differs from any of another number in its references only.
    pub fn new(number: u64) -> Self {
        Self {
            message_id: format!("MSG-{number}"),
            uetr: format!("00000000-0000-4000-8000-{number:012x}"),
            amount: "12.34".to_owned(),
            iban: "DE89370400440532013000".to_owned(),
            accepted_at: "2030-05-06T07:08:09.010Z".to_owned(),
        }
    }

    /// The pacs.008.
    pub fn payment_xml(&self) -> String {
        let Self { message_id, uetr, amount, iban, accepted_at } = self;
        let date = &accepted_at[..10];
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08">
  <FIToFICstmrCdtTrf>
    <GrpHdr>
      <MsgId>{message_id}</MsgId>
      <CreDtTm>{accepted_at}</CreDtTm>
      <NbOfTxs>1</NbOfTxs>
      <SttlmInf><SttlmMtd>CLRG</SttlmMtd></SttlmInf>
    </GrpHdr>
    <CdtTrfTxInf>
      <PmtId>
        <InstrId>{message_id}</InstrId><EndToEndId>E2E &amp; {message_id}</EndToEndId>
        <TxId>{message_id}</TxId><UETR>{uetr}</UETR>
      </PmtId>
      <IntrBkSttlmAmt Ccy="EUR">{amount}</IntrBkSttlmAmt>
      <IntrBkSttlmDt>{date}</IntrBkSttlmDt>
      <AccptncDtTm>{accepted_at}</AccptncDtTm>
      <ChrgBr>SLEV</ChrgBr>
      <InstgAgt><FinInstnId><BICFI>RIALITMMXXX</BICFI></FinInstnId></InstgAgt>
      <InstdAgt><FinInstnId><BICFI>AURODEFFXXX</BICFI></FinInstnId></InstdAgt>
      <Dbtr><Nm>Zoë Buyer</Nm></Dbtr>
      <DbtrAcct><Id><Othr><Id>acc_17</Id></Othr></Id></DbtrAcct>
      <DbtrAgt><FinInstnId><BICFI>RIALITMMXXX</BICFI></FinInstnId></DbtrAgt>
      <CdtrAgt><FinInstnId><BICFI>AURODEFFXXX</BICFI></FinInstnId></CdtrAgt>
      <Cdtr><Nm>Sam Seller</Nm></Cdtr>
      <CdtrAcct><Id><IBAN>{iban}</IBAN></Id></CdtrAcct>
      <RmtInf><Ustrd>Order 4711</Ustrd></RmtInf>
    </CdtTrfTxInf>
  </FIToFICstmrCdtTrf>
</Document>
"#
        )
    }

    /// The pacs.028 that asks for this order.
    pub fn enquiry_xml(&self) -> String {
        let Self { message_id, uetr, accepted_at, .. } = self;
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pacs.028.001.03">
  <FIToFIPmtStsReq>
    <GrpHdr><MsgId>ASK-{message_id}</MsgId><CreDtTm>{accepted_at}</CreDtTm></GrpHdr>
    <TxInf>
      <OrgnlGrpInf><OrgnlMsgId>{message_id}</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId></OrgnlGrpInf>
      <OrgnlInstrId>{message_id}</OrgnlInstrId>
      <OrgnlEndToEndId>E2E &amp; {message_id}</OrgnlEndToEndId>
      <OrgnlTxId>{message_id}</OrgnlTxId>
      <OrgnlUETR>{uetr}</OrgnlUETR>
      <AccptncDtTm>{accepted_at}</AccptncDtTm>
      <InstgAgt><FinInstnId><BICFI>RIALITMMXXX</BICFI></FinInstnId></InstgAgt>
      <InstdAgt><FinInstnId><BICFI>AURODEFFXXX</BICFI></FinInstnId></InstdAgt>
    </TxInf>
  </FIToFIPmtStsReq>
</Document>
"#
        )
    }

    /// The camt.056 of that id that asks for `amount` (decimal text) of this order back, made at `created_at`.
    pub fn return_xml(&self, request_id: &str, amount: &str, created_at: &str) -> String {
        let Self { message_id, uetr, accepted_at, .. } = self;
        let (date, original_amount) = (&accepted_at[..10], &self.amount);
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.056.001.08">
  <FIToFIPmtCxlReq>
    <Assgnmt>
      <Id>{request_id}</Id>
      <Assgnr><Agt><FinInstnId><BICFI>RIALITMMXXX</BICFI></FinInstnId></Agt></Assgnr>
      <Assgne><Agt><FinInstnId><BICFI>AURODEFFXXX</BICFI></FinInstnId></Agt></Assgne>
      <CreDtTm>{created_at}</CreDtTm>
    </Assgnmt>
    <Undrlyg>
      <TxInf>
        <CxlId>{request_id}</CxlId>
        <OrgnlGrpInf><OrgnlMsgId>{message_id}</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId></OrgnlGrpInf>
        <OrgnlInstrId>{message_id}</OrgnlInstrId>
        <OrgnlEndToEndId>E2E &amp; {message_id}</OrgnlEndToEndId>
        <OrgnlTxId>{message_id}</OrgnlTxId>
        <OrgnlUETR>{uetr}</OrgnlUETR>
        <OrgnlIntrBkSttlmAmt Ccy="EUR">{amount}</OrgnlIntrBkSttlmAmt>
        <OrgnlIntrBkSttlmDt>{date}</OrgnlIntrBkSttlmDt>
        <CxlRsnInf><Rsn><Cd>CUST</Cd></Rsn><AddtlInf>wrong size</AddtlInf></CxlRsnInf>
        <OrgnlTxRef><IntrBkSttlmAmt Ccy="EUR">{original_amount}</IntrBkSttlmAmt></OrgnlTxRef>
      </TxInf>
    </Undrlyg>
  </FIToFIPmtCxlReq>
</Document>
"#
        )
    }

    /// The pacs.028 that asks for the return request of that id.
    pub fn return_enquiry_xml(&self, request_id: &str) -> String {
        let Self { message_id, .. } = self;
        self.enquiry_xml()
            .replace(&format!("<OrgnlMsgId>{message_id}<"), &format!("<OrgnlMsgId>{request_id}<"))
            .replace(&format!("<OrgnlInstrId>{message_id}<"), &format!("<OrgnlInstrId>{request_id}<"))
            .replace(&format!("<OrgnlTxId>{message_id}<"), &format!("<OrgnlTxId>{request_id}<"))
            .replace("pacs.008.001.08", "camt.056.001.08")
    }
}
