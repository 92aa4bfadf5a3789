type Props = { label: string; is_on: boolean; isEnabled?: boolean; onToggle: () => void };

export function Switch({ label, is_on, isEnabled = true, onToggle }: Props) {
  return (
    <label className="switch">
      <input type="checkbox" checked={is_on} disabled={!isEnabled} onChange={onToggle} />
      {label}
    </label>
  );
}
