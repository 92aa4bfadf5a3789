import { expect, test } from "vitest";
import { TextLog } from "./textLog";

test("appends, tells listeners, and gives what came since", () => {
  const log = new TextLog();
  let changes = 0;
  const unsubscribe = log.subscribe(() => {
    changes += 1;
  });
  log.append("To be");
  log.append("");
  log.append(", or not");
  expect(log.since(0)).toBe("To be, or not");
  expect(log.since(1)).toBe(", or not");
  expect(log.length).toBe(2);
  expect(changes).toBe(2);
  log.clear();
  expect(log.length).toBe(0);
  unsubscribe();
  log.append("x");
  expect(changes).toBe(3);
});
