import { arrowBetween, isWithin, wayOf, type ChartLayout } from "../../chart-drawing.ts";

interface Props {
  readonly name: string;
  readonly layout: ChartLayout;
  readonly labels: ReadonlyMap<string, readonly string[]>;
  /** The leaf that is active, as a path; empty where nobody knows. */
  readonly active: string;
  /** The last transition and the event that made it. */
  readonly last: { readonly from: string; readonly to: string; readonly event: string } | undefined;
  readonly picked?: string | undefined;
  readonly onPick?: ((path: string) => void) | undefined;
}

/** A statechart: its boxes and arrows, the active state lit, the last transition marked with what made it. */
export function Chart({ name, layout, labels, active, last, picked, onPick }: Props) {
  const { width, height, boxes, arrows } = layout;
  const moved = last === undefined || last.from === last.to ? undefined : arrowBetween(layout, last.from, last.to);
  const shown = picked === undefined ? [] : arrows.filter(({ from }) => from === picked);
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${width} ${height}`}
      role="group"
      aria-label={active === "" ? name : `${name}, in ${active}`}
    >
      <defs>
        <marker id={`head-${name}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
          <path d="M0 0.8 L7.5 4 L0 7.2 Z" class="arrow-head" />
        </marker>
        <marker id={`lit-${name}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
          <path d="M0 0.8 L7.5 4 L0 7.2 Z" class="arrow-head lit" />
        </marker>
      </defs>
      {boxes.map(({ path, x, y, width: w, height: h }) => {
        const composite = boxes.some((box) => box.path !== path && isWithin(box.path, path));
        const tone = `${composite ? "composite" : "leaf"}${path === active ? " active" : isWithin(active, path) ? " around" : ""}`;
        const key = path.split(".").at(-1) ?? path;
        return (
          <g
            key={path}
            class={`state ${tone}${path === picked ? " picked" : ""}`}
            {...(onPick === undefined
              ? {}
              : {
                  role: "button",
                  tabindex: 0,
                  "aria-label": `State ${path}`,
                  onClick: () => {
                    onPick(path);
                  },
                  onKeyDown: (press: KeyboardEvent) => {
                    if (press.key !== "Enter" && press.key !== " ") return;
                    press.preventDefault();
                    onPick(path);
                  },
                })}
          >
            <rect x={x} y={y} width={w} height={h} rx={composite ? 8 : 6} />
            <text
              x={composite ? x + 12 : x + w / 2}
              y={composite ? y + 21 : y + h / 2 + 5.5}
              class={composite ? "title" : ""}
            >
              {key}
            </text>
          </g>
        );
      })}
      {arrows.map((arrow) => (
        <path
          key={`${arrow.from} ${arrow.to}`}
          class={shown.includes(arrow) ? "arrow out" : "arrow"}
          d={wayOf(arrow)}
          marker-end={`url(#head-${name})`}
        >
          <title>{`${arrow.from} → ${arrow.to}: ${(labels.get(`${arrow.from} ${arrow.to}`) ?? []).join(", ")}`}</title>
        </path>
      ))}
      {moved === undefined ? null : <path class="arrow lit" d={wayOf(moved)} marker-end={`url(#lit-${name})`} />}
    </svg>
  );
}
