/** Numbers as people read them. */

const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function formatCount(value: number): string {
  return GROUPED.format(value);
}

/** 938,240 → "938 k"; 1,234,567 → "1.23 M". */
export function formatParameters(value: number): string {
  const [scaled, unit] =
    value >= 1e9
      ? [value / 1e9, " B"]
      : value >= 1e6
        ? [value / 1e6, " M"]
        : value >= 1e3
          ? [value / 1e3, " k"]
          : [value, ""];
  return `${Number(scaled.toPrecision(3))}${unit}`;
}

/** Decimal units, as file managers show them. */
export function formatBytes(size_bytes: number): string {
  if (size_bytes < 1000) return `${size_bytes} B`;
  if (size_bytes < 1e6) return `${(size_bytes / 1e3).toFixed(0)} kB`;
  if (size_bytes < 1e9) return `${(size_bytes / 1e6).toFixed(1)} MB`;
  return `${(size_bytes / 1e9).toFixed(2)} GB`;
}

/** 0.042 → "0.042 ms"; 0.42 → "0.4 ms"; 38.2 → "38 ms"; 1,234 → "1.23 s". */
export function formatMs(ms: number): string {
  if (ms > 0 && ms < 0.1) return `${ms.toFixed(3)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}

/** 0.42 → "0.4 s"; 38.2 → "38 s"; 252 → "4 min 12 s"; 7,500 → "2 h 5 min"; 200,000 → "2 d 8 h". */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(seconds / 3600);
  return `${GROUPED.format(Math.floor(hours / 24))} d ${hours % 24} h`;
}

export function formatRate(per_second: number): string {
  return per_second < 10 ? per_second.toFixed(1) : GROUPED.format(per_second);
}

/** 0.1234 → "12 %"; 0.0123 → "1.2 %". */
export function formatShare(fraction: number): string {
  const percent = 100 * fraction;
  return `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}

/** 12,340,000,000 → "12.3 GB/s". */
export function formatBandwidth(bytes_per_s: number): string {
  return `${(bytes_per_s / 1e9).toFixed(1)} GB/s`;
}

/** 1.0123 → "+1.23 %"; 0.9995 → "−0.05 %". */
export function formatChange(ratio: number): string {
  const percent = (ratio - 1) * 100;
  return `${percent < 0 ? "−" : "+"}${Math.abs(percent).toFixed(2)} %`;
}
