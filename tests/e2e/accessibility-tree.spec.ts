/** The page as a screen reader reads it, in each main state: what is there, in which order, under which name. */
import { chatModel } from "./environment";
import { stepWaits } from "./faults";
import { expect, test } from "./fixtures";

const BANNER = `
- banner:
  - heading "PocketLM" [level=1]
  - paragraph: A small language model that runs in this tab. What you write stays here.
`;

test("ready: the prompt, what can be done with it, the settings, the model", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await expect(page.locator("body")).toMatchAriaSnapshot(`${BANNER}
  - status "Engine": CPU
  - combobox "Theme"
- main:
  - textbox "Prompt"
  - button "Generate"
  - button "Stop" [disabled]
  - button "Regenerate"
  - button "Continue" [disabled]
  - button "Undo" [disabled]
  - button "Copy" [disabled]
  - checkbox "Show surprise"
  - checkbox "Score the text"
  - button "Look at a token" [disabled]
  - region "Output"
  - complementary:
    - region "Sampling":
      - heading "Sampling" [level=2]
      - spinbutton "Temperature"
      - spinbutton "Top-k"
      - spinbutton "Seed"
      - button "New seed"
    - region "Your text":
      - heading "Your text" [level=2]
      - paragraph:
        - button "Save as Markdown" [disabled]
    - region "About this model":
      - heading "About this model" [level=2]
    - region "Storage":
      - button "Delete from this device"
- region "How this model was made"
- status "Announcement"
- contentinfo:
  - list:
    - listitem: Ctrl Enter write on from the prompt
    - listitem: Alt Enter write on from where the text ends
`);
});

test("writing and written: Stop in its turn, one announcement, tokens and branches by name", async ({
  site,
  reader,
  page,
}) => {
  site.inject(stepWaits(5));
  await reader.open(site.address("?device=cpu"));
  await reader.prompt.fill("The king");
  await reader.field("Max tokens").fill("8");
  await reader.field("Temperature").fill("0");
  await reader.generate.click();
  await site.gateReached();
  await expect(page.locator("body")).toMatchAriaSnapshot(`
- main:
  - textbox "Prompt": The king
  - button "Generate" [disabled]
  - button "Stop"
  - button "Regenerate" [disabled]
  - region "Output"
  - term: end
  - definition: writing…
- status "Announcement": Writing
`);
  site.openGate();
  await expect(reader.stop).toBeDisabled();
  await page.getByLabel("Show surprise").check();
  await reader.field("Temperature").fill("1");
  await reader.field("Seed").fill("77");
  await reader.write();
  await reader.lookAt(3);
  await expect(page.getByRole("region", { name: "Token" })).toMatchAriaSnapshot(`
- region "Token":
  - paragraph:
    - button "Previous token"
    - text: Token 4 of 8
    - button "Next token"
    - button "Close"
  - paragraph: /id \\d+, bytes .*% likely, [\\d.]+ bits/
  - list "Likeliest here; take one, and the model writes on from it:":
    - listitem:
      - button /%/
  - textbox "Go on with your own words after this"
`);
  await expect(page.getByRole("region", { name: "Branches" })).toMatchAriaSnapshot(`
- region "Branches":
  - heading "Branches" [level=2]
  - list:
    - listitem:
      - button "Previous branch"
      - text: 2 of 2
      - button "Next branch" [disabled]
`);
  await page.getByLabel("Score the text").check();
  await expect(page.getByRole("region", { name: "Surprise" })).toMatchAriaSnapshot(`
- region "Surprise":
  - paragraph: /bits per byte/
  - listbox "Tokens":
    - option /^T/ [selected]
    - option
`);
});

test("a conversation: who said what, and what can be done with each turn", async ({ site, reader, page }) => {
  site.model = { kind: "file", path: chatModel() };
  await reader.openChat(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("6");
  await reader.ask("Who are you?");
  await expect(page.locator(".said")).toHaveCount(2);
  await page.getByRole("button", { name: "Answer again: answer 1" }).click();
  await expect(page.getByRole("button", { name: "Previous version: answer 1" })).toBeEnabled();
  await page.getByRole("button", { name: "Edit: message 1" }).click();
  await page.getByText("The template's text").click();
  await expect(page.getByRole("region", { name: "Conversation" })).toMatchAriaSnapshot(`
- region "Conversation":
  - list:
    - listitem:
      - heading "You" [level=2]
      - textbox "Your message, edited": Who are you?
      - button "Send edited"
      - button "Cancel"
      - paragraph:
        - 'button "Edit: message 1" [expanded]'
    - listitem:
      - heading "Model" [level=2]
      - paragraph:
        - 'button "Edit: answer 1"'
        - 'button "Answer again: answer 1"'
        - 'button "Previous version: answer 1"'
        - text: 2 of 2
        - 'button "Next version: answer 1" [disabled]'
  - textbox "Message"
  - button "Send" [disabled]
  - button "New chat"
  - group:
    - region "The prompt, to the letter":
      - mark: <|endoftext|>
`);
});

test("loading and failed: how far it is, what went wrong and what to do", async ({ site, page }) => {
  await page.route(/model\.bin$/, () => undefined); // never answered
  await page.goto(site.address("?device=cpu"));
  await expect(page.getByRole("progressbar", { name: "Loading" })).toBeVisible();
  await expect(page.locator("body")).toMatchAriaSnapshot(`${BANNER}
- main:
  - textbox "Prompt"
  - button "Generate" [disabled]
  - progressbar "Loading"
`);
  await page.unrouteAll({ behavior: "ignoreErrors" });
  site.model = { kind: "missing" };
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toBeVisible();
  await expect(page.locator("body")).toMatchAriaSnapshot(`
- main:
  - alert:
    - heading "The model could not be downloaded" [level=2]
    - paragraph: /There is no model at .* \\(404\\)/
    - paragraph:
      - button "Try again"
  - button "Generate" [disabled]
`);
});
