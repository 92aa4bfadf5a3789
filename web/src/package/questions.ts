/** What the engine was asked and has not answered yet, by the number of the call. */
import type { BenchmarkProgress, EngineEvent } from "../engine/protocol";
import type { BenchmarkOptions } from "./requests";

export type Answer = Exclude<Extract<EngineEvent, { call: number }>, { type: "measuring" | "unanswered" }>;

type Question = {
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
  onProgress: BenchmarkOptions["onProgress"];
};

export class Questions {
  readonly #open = new Map<number, Question>();

  /** The engine's answer to a call that was posted. */
  wait(call: number, onProgress: BenchmarkOptions["onProgress"]): Promise<Answer> {
    return new Promise((resolve, reject) => this.#open.set(call, { resolve, reject, onProgress }));
  }

  answer(answer: Answer): void {
    this.#take(answer.call)?.resolve(answer);
  }

  tell(call: number, progress: BenchmarkProgress): void {
    this.#open.get(call)?.onProgress?.(progress);
  }

  refuse(call: number, error: unknown): void {
    this.#take(call)?.reject(error);
  }

  refuseAll(error: unknown): void {
    for (const call of [...this.#open.keys()]) this.refuse(call, error);
  }

  #take(call: number): Question | undefined {
    const question = this.#open.get(call);
    this.#open.delete(call);
    return question;
  }
}
