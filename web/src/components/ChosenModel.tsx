import type { Device } from "pocketlm";
import { App } from "../App";
import { useModels } from "../hooks/useModels";
import { ModelChoice } from "./ModelChoice";

/** The page with the model that is chosen. With each it begins anew: what was written with one is no other's. */
export function ChosenModel(props: { device: Device; isMac: boolean }) {
  const { offered, chosen, choose } = useModels();
  if (chosen === null) return null;
  const key = typeof chosen === "string" ? chosen : `${chosen.name} ${chosen.lastModified} ${chosen.size}`;
  const choice = <ModelChoice offered={offered} chosen={chosen} onChoose={choose} />;
  return <App key={key} from={chosen} choice={choice} {...props} />;
}
