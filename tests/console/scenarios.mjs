// What people do in the console, and what others try there.
import { mkdir, readFile } from "node:fs/promises";

const PAGES = (known) => [
  "/console",
  "/console/payments",
  `/console/payments/${known.paid}`,
  `/console/payments/${known.hostile}`,
  `/console/payments/${known.unknown}`,
  "/console/balance",
  "/console/webhooks",
  `/console/webhooks/${known.endpoint}`,
];

export const scenarios = {
  async sign_in({ known, visitor, signIn, assert }) {
    const page = await visitor();
    await page.goto(`${known.url}/console/payments`);
    assert.match(page.url(), /\/console\/sign-in$/, "nobody sees anything without signing in");
    for (const [key, says] of [["rk_nobody", /not known/], [known.merchantKey, /operator or auditor/]]) {
      await page.getByLabel("API key").fill(key);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("alert").filter({ hasText: says }).waitFor();
      assert.equal(await page.getByLabel("API key").inputValue(), "", "the key is not sent back");
    }
    // With the keyboard alone: the field gets the focus, which a browser gives when it first draws the page.
    await page.goto(`${known.url}/console/sign-in`);
    await page.locator("#key:focus").waitFor();
    await page.keyboard.type(known.key);
    await page.keyboard.press("Enter");
    await page.locator("#figures").waitFor();
    await page.locator("body").evaluate(() => document.activeElement.blur());
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "content", "the first link leads to the content");
    const [cookie] = (await page.context().cookies()).filter(({ name }) => name === "rialto_console");
    assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Strict", "/console"]);
    assert.ok(!(await page.content()).includes(known.key) && !cookie.value.includes("rk_"), "no page and no cookie has the key");
    assert.equal(await page.evaluate(() => document.cookie), "");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    // What was the session's name is nobody's any more.
    await page.context().addCookies([cookie]);
    await page.goto(`${known.url}/console`);
    assert.match(page.url(), /sign-in/);
    const auditor = await visitor();
    await signIn(auditor, known.auditorKey);
  },

  async revoked({ known, visitor, signIn, assert }) {
    const page = await visitor();
    await signIn(page, known.revocable);
    await (await fetch(known.revoke, { method: "POST" })).text();
    const began = Date.now();
    // The page finds out by itself.
    await page.waitForURL(/sign-in\?why=over/, { timeout: 15_000 });
    assert.ok(Date.now() - began < 11_000, "5 s until the key is refused everywhere, and 5 between two looks");
    await page.getByText("You were signed out").waitFor();
  },

  async search({ known, visitor, signIn, follow, assert }) {
    const page = await visitor();
    await signIn(page);
    await follow(page, page.getByRole("link", { name: "Payments", exact: true }));
    for (const id of [known.paid, known.paidRequest]) {
      await page.goto(`${known.url}/console/payments`);
      await page.getByLabel("Payment id or request id").fill(id);
      await page.getByRole("button", { name: "Find" }).click();
      await page.waitForURL(new RegExp(known.paid));
      await page.getByRole("heading", { name: known.paidRequest }).waitFor();
    }
    for (const nobody of [known.foreign, "pay_1", "no such request", "' OR 1=1 --"]) {
      await page.goto(`${known.url}/console/payments`);
      await page.getByLabel("Payment id or request id").fill(nobody);
      await page.getByRole("button", { name: "Find" }).click();
      await page.getByRole("alert").waitFor();
    }
    await page.goto(`${known.url}/console/payments/${known.foreign}`);
    await page.getByRole("alert").filter({ hasText: "not found" }).waitFor();
    await page.goto(`${known.url}/console/payments`);
    await page.getByLabel("State").selectOption({ label: "Unknown" });
    await follow(page, page.getByRole("button", { name: "List" }));
    const rows = page.locator("tbody tr");
    await rows.filter({ hasText: known.unknownRequest }).waitFor();
    assert.equal(await rows.filter({ hasText: "Succeeded" }).count(), 0);
    // Times bound what is listed.
    await page.goto(`${known.url}/console/payments?until=2020-01-01T00:00`);
    await page.getByText("Nothing here yet.").waitFor();
    await page.goto(`${known.url}/console/payments?from=2020-01-01T00:00`);
    assert.ok((await rows.count()) > 3);
    await page.goto(`${known.url}/console/payments?account=${known.account}`);
    const first = await rows.first().textContent();
    await follow(page, page.getByRole("link", { name: "Older" }));
    assert.ok((await rows.count()) >= 1 && (await rows.first().textContent()) !== first, "a page further there are others");
    const bad = await page.request.get(`${known.url}/console/payments?state=NO_SUCH_STATE`);
    assert.equal(bad.status(), 400);
  },

  async story({ known, visitor, signIn, assert }) {
    const page = await visitor();
    await signIn(page);
    await page.goto(`${known.url}/console/payments/${known.paid}`);
    const main = page.locator("main");
    for (const part of ["12.34 EUR", "Blaise Seller", known.account, known.uetr, `${known.paid.slice(4)}-1`, "Evidence", "Submitted", "Succeeded"]) {
      await main.getByText(part).first().waitFor();
    }
    assert.equal(await page.locator(".steps li").count(), 2);
    const transfer = page.getByRole("region", { name: "Transfers" }).locator("tbody tr");
    assert.match(await transfer.textContent(), new RegExp(`tra_${known.paid.slice(4)}.*${known.account}.*the house.*12.34 EUR`));
    assert.match(known.trace, /^[0-9a-f]{32}$/);
    assert.ok((await main.textContent()).includes(known.trace));
    // What was sent is written anew; a bank that only accepted has said nothing worth keeping.
    await page.getByText("Show it").click();
    await main.getByText("<Nm>Blaise Seller</Nm>").waitFor();
    assert.equal(await page.getByText("Show what the bank said").count(), 0);
    // A payment whose end is unknown says so, and what is done about it.
    await page.goto(`${known.url}/console/payments/${known.unknown}`);
    await main.getByText("ENQUIRE").waitFor();
    await main.getByText("There is one when the payment is over and sealed.").waitFor();
    await page.goto(`${known.url}/console/balance`);
    await page.getByRole("row", { name: /EUR/ }).waitFor();
    assert.equal(await page.getByText("holds", { exact: true }).count(), 2, "two rules of one's own accounts");
  },

  async receipt({ known, visitor, signIn, assert }) {
    const page = await visitor();
    await signIn(page);
    const verify = async (key) => {
      await page.goto(`${known.url}/console/payments/${known.paid}`);
      await page.getByLabel("The log's public key").fill(key);
      await page.getByRole("button", { name: "Verify" }).click();
      return await page.locator("#verdict:not(:empty)").filter({ hasNotText: "Verifying" }).textContent();
    };
    assert.match(await verify(known.auditKey), /^The receipt is genuine: .* \d+$/);
    await page.reload();
    assert.equal(await page.getByLabel("The log's public key").inputValue(), known.auditKey, "the key is remembered");
    assert.match(await verify(known.otherAuditKey), /^The receipt shows nothing: its checkpoint is not signed/);
    assert.match(await verify(known.auditKey.replace("+", "x+")), /hash is another one/);
    assert.match(await verify("rialto"), /must look like/);

    const address = `${known.url}/console/payments/${known.paid}/receipt`;
    const genuine = await (await page.request.get(address)).json();
    const tampered = {
      "an amount": (receipt) => (receipt.steps[0].text = receipt.steps[0].text.replace("1234", "1235")),
      "a state": (receipt) => (receipt.steps.at(-1).text = receipt.steps.at(-1).text.replace("SUCCEEDED", "FAILED")),
      "a step less": (receipt) => receipt.steps.shift(),
      "steps exchanged": (receipt) => receipt.steps.reverse(),
      "another leaf": (receipt) => (receipt.steps[0].leaf = String(Number(receipt.steps[0].leaf) + 1)),
      "a proof's hash": (receipt) => (receipt.steps[0].proof[0] = receipt.steps[1].proof.at(-1).replace(/^./, (c) => (c === "A" ? "B" : "A"))),
      "a proof too long": (receipt) => receipt.steps[0].proof.push(receipt.steps[0].proof[0]),
      "a proof too short": (receipt) => receipt.steps[0].proof.pop(),
      "the checkpoint's size": (receipt) => (receipt.checkpoint = receipt.checkpoint.replace(/\n(\d+)\n/, (_, size) => `\n${Number(size) + 1}\n`)),
      "the checkpoint's signature": (receipt) => (receipt.checkpoint = receipt.checkpoint.replace(/(.{8})==?\n$/, "AAAAAAAA=\n")),
      "another payment": (receipt) => (receipt.payment = known.unknown),
      nothing: (receipt) => delete receipt.steps,
    };
    for (const [what, change] of Object.entries(tampered)) {
      const receipt = structuredClone(genuine);
      change(receipt.receipt);
      await page.route(address, (route) => route.fulfill({ json: receipt }));
      assert.match(await verify(known.auditKey), /^The receipt shows nothing: /, what);
      await page.unroute(address);
    }
    // Genuine, of another payment than the page's: it is not taken for this one's.
    const other = await (await page.request.get(`${known.url}/console/payments/${known.hostile}/receipt`)).json();
    await page.route(address, (route) => route.fulfill({ json: other }));
    assert.match(await verify(known.auditKey), /says something else than this page/);
    await page.unroute(address);

    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
    assert.equal(download.suggestedFilename(), `receipt-${known.paid}.json`);
    await download.saveAs(known.downloaded);
    assert.deepEqual(JSON.parse(await readFile(known.downloaded, "utf8")).receipt.steps, genuine.receipt.steps);
  },

  async replay({ known, visitor, signIn, follow, assert }) {
    const page = await visitor();
    await signIn(page);
    await follow(page, page.getByRole("link", { name: "Webhooks" }));
    await follow(page, page.getByRole("link", { name: known.hooks }));
    await page.locator("tbody").getByText("Delivered").first().waitFor();
    await page.getByRole("button", { name: "Replay" }).click();
    await page.getByText("The replay has begun").waitFor();
    const auditor = await visitor();
    await signIn(auditor, known.auditorKey);
    await auditor.goto(`${known.url}/console/webhooks/${known.endpoint}`);
    await auditor.getByText("Replaying takes the role operator.").waitFor();
    assert.equal(await auditor.getByRole("button", { name: "Replay" }).count(), 0);
    const signing = await visitor();
    await signIn(signing, known.signingKey);
    await signing.goto(`${known.url}/console/webhooks/${known.endpoint}`);
    await signing.getByText("must be signed").waitFor();
    assert.equal(await signing.getByRole("button", { name: "Replay" }).count(), 0);
  },

  async hostile({ known, visitor, signIn, unharmed, expect, assert }) {
    const page = await visitor();
    await signIn(page);
    for (const address of PAGES(known)) {
      await page.goto(known.url + address);
      await page.waitForLoadState("networkidle");
      await unharmed(page);
    }
    // It is there, to be read, as what it is.
    await page.goto(`${known.url}/console/payments/${known.hostile}`);
    for (const text of known.hostileTexts) {
      await page.locator("main").getByText(text, { exact: true }).first().waitFor();
    }
    // Nor by the address.
    for (const address of [
      `/console/payments?find=${encodeURIComponent(known.hostileTexts[0])}`,
      `/console/payments?account=${encodeURIComponent('"><script>window.pwned=1</script>')}`,
      `/console/payments/${encodeURIComponent("<script>window.pwned=1</script>")}`,
      `/console/webhooks/${encodeURIComponent('"><script>window.pwned=1</script>')}`,
      "/console/sign-in?why=%3Cscript%3Ewindow.pwned=1%3C/script%3E",
    ]) {
      await page.goto(known.url + address);
      await unharmed(page);
    }
    // Should a script get in all the same, the policy does not run it.
    expect(/script-src(-elem inline| 'self')/);
    await page.goto(`${known.url}/console/sign-in`);
    const ran = await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.pwned = 1";
      return new Promise((done) => {
        document.addEventListener("securitypolicyviolation", () => done("refused"), { once: true });
        document.body.append(script);
        setTimeout(() => done("ran"), 2_000);
      });
    });
    assert.equal(ran, "refused");
    await unharmed(page);
  },

  async phone({ known, visitor, signIn, assert }) {
    for (const lang of ["en", "zh-Hans"]) {
      const page = await visitor({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
      await signIn(page);
      for (const address of [...PAGES(known), "/console/sign-in"]) {
        await page.goto(`${known.url}${address}?lang=${lang}`);
        const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
        assert.ok(content <= screen, `${address} (${lang}) is ${content} px wide on a screen of ${screen}`);
      }
    }
  },

  async chinese({ known, visitor, signIn, follow, assert }) {
    const page = await visitor();
    await signIn(page);
    await follow(page, page.getByRole("link", { name: "简体中文" }));
    await page.getByRole("heading", { name: "概览" }).waitFor();
    await follow(page, page.getByRole("link", { name: "付款", exact: true }));
    assert.equal(await page.locator("html").getAttribute("lang"), "zh-Hans", "the choice is kept");
    await page.locator("tbody").getByText("成功").first().waitFor();
    await follow(page, page.getByRole("link", { name: "English" }));
    await page.getByRole("heading", { name: "Payments" }).waitFor();
    const reader = await visitor({ locale: "zh-CN" });
    await reader.goto(`${known.url}/console`);
    await reader.getByRole("button", { name: "登录" }).waitFor();
    assert.equal(await reader.locator("html").getAttribute("lang"), "zh-Hans");
  },

  async live({ known, visitor, signIn, follow, assert }) {
    const page = await visitor();
    await signIn(page);
    await page.locator("#charts canvas").nth(2).waitFor();
    assert.equal(await page.locator("#charts canvas").count(), 3);
    const painted = () => page.locator("#charts canvas").evaluateAll((all) => all.map((one) => one.toDataURL()).join());
    const [before, count] = [await painted(), await page.locator("#figures dd").first().textContent()];
    await (await fetch(known.pay, { method: "POST" })).text();
    // By itself, without another page being loaded.
    await page.evaluate(() => (window.stayed = true));
    await page.waitForFunction((count) => document.querySelector("#figures dd").textContent !== count, count);
    assert.equal(await page.evaluate(() => window.stayed), true);
    assert.notEqual(await painted(), before, "the charts are drawn anew");
    await page.locator("#pulse").getByText("live").waitFor();
    // What the charts show can be read as a table.
    await page.locator("summary").click();
    assert.equal(await page.getByRole("region", { name: "The figures as a table" }).getByRole("row").count(), 61);
    await page.getByRole("row", { name: /aurora/ }).getByText("Reachable").waitFor();
    await page.locator("#unknown").getByRole("link", { name: known.unknownRequest }).waitFor();

    const reader = await visitor({ javaScriptEnabled: false });
    await signIn(reader);
    assert.equal(await reader.locator("#series tbody tr").count(), 60);

    const house = await visitor();
    await signIn(house, known.houseKey);
    await house.getByText("Of all participants").waitFor();
    await follow(house, house.getByRole("link", { name: "Trial balance" }));
    assert.equal(await house.getByText("holds", { exact: true }).count(), 3, "all that always holds");
  },

  // For people: what it looks like.
  async look({ known, visitor, signIn }) {
    await mkdir(known.pictures, { recursive: true });
    for (const [name, options] of [
      ["light", {}],
      ["dark", { colorScheme: "dark" }],
      ["phone", { viewport: { width: 375, height: 812 }, deviceScaleFactor: 2 }],
    ]) {
      const page = await visitor(options);
      await page.goto(`${known.url}/console/sign-in`);
      await page.screenshot({ path: `${known.pictures}/${name}-sign-in.png` });
      await signIn(page, known.key);
      for (const address of PAGES(known)) {
        await page.goto(known.url + address);
        await page.waitForTimeout(400);
        const file = address.slice(8).replace(/\//g, "-").replace(/_[0-9a-f]+/, "") || "-overview";
        const own = address.includes(known.hostile) ? "-hostile" : address.includes(known.unknown) ? "-unknown" : "";
        await page.screenshot({ path: `${known.pictures}/${name}${file}${own}.png`, fullPage: true });
      }
    }
  },
};
