import type { TextScore, Token as TextToken } from "pocketlm";
import { type KeyboardEvent, type MouseEvent, memo, useState } from "react";
import { formatCount } from "../lib/format";
import { bitsOf, bytesOf, percentOf, shownText, surpriseLevel } from "../lib/surprise";

type TokenProps = { token: TextToken; index: number; is_chosen: boolean };

/** Only the tokens whose choice changes are drawn again. */
const Token = memo(function Token({ token, index, is_chosen }: TokenProps) {
  return (
    <span
      id={`token-${index}`}
      className="token"
      role="option"
      tabIndex={-1}
      aria-selected={is_chosen}
      data-index={index}
      data-level={surpriseLevel(bitsOf(token))}
    >
      {shownText(token.text)}
    </span>
  );
});

/** A scored text, token by token: shaded and underlined by surprisal; a token that is chosen tells what else was likely. */
export function Tokens({ score }: { score: TextScore }) {
  const [chosen, setChosen] = useState(0);
  const { tokens, bits, n_bytes } = score;
  const token = tokens[chosen];

  const onClick = (event: MouseEvent) => {
    const index = event.target instanceof HTMLElement ? event.target.dataset["index"] : undefined;
    if (index !== undefined) setChosen(Number(index));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const places: Record<string, number> = {
      ArrowRight: chosen + 1,
      ArrowDown: chosen + 1,
      ArrowLeft: chosen - 1,
      ArrowUp: chosen - 1,
      Home: 0,
      End: tokens.length - 1,
    };
    const place = places[event.key];
    if (place === undefined) return;
    event.preventDefault();
    setChosen(Math.max(0, Math.min(tokens.length - 1, place)));
  };

  return (
    <section className="surprise" aria-label="Surprise">
      <p>
        {n_bytes === 0
          ? "There is no text to score."
          : `${(bits / n_bytes).toFixed(3)} bits per byte: ${bits.toFixed(1)} bits for ${formatCount(n_bytes)} bytes in ${formatCount(tokens.length)} tokens, ${(n_bytes / tokens.length).toFixed(1)} bytes a token. The thicker the line under a token, the less the model expected it.`}
      </p>
      {token !== undefined && (
        <div
          className="tokens"
          role="listbox"
          aria-label="Tokens"
          tabIndex={0}
          aria-activedescendant={`token-${chosen}`}
          onClick={onClick}
          onKeyDown={onKeyDown}
        >
          {tokens.map((each, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a token is known by its place in the text
            <Token key={index} token={each} index={index} is_chosen={index === chosen} />
          ))}
        </div>
      )}
      {token !== undefined && (
        <div className="likeliest">
          <p>
            Token {formatCount(chosen + 1)}, <code>{shownText(token.text)}</code>, id {token.id}, {bytesOf(token.text)}:{" "}
            {token.logprob === null
              ? "nothing stands before it."
              : `${percentOf(token.logprob)} likely, ${(-token.logprob / Math.LN2).toFixed(2)} bits.`}
          </p>
          {token.likeliest.length > 0 && <p>Likeliest here:</p>}
          <ol>
            {token.likeliest.map(({ id, text, logprob }) => (
              <li key={id}>
                <code>{shownText(text)}</code> {percentOf(logprob)}
              </li>
            ))}
          </ol>
        </div>
      )}
    </section>
  );
}
