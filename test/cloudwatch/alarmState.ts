// What state an alarm takes: the newest datapoints in, one of three states out. Knows neither metrics nor time.
// Source: CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data"; both of its tables are tests.

export type AlarmState = "OK" | "ALARM" | "INSUFFICIENT_DATA";

/** One datapoint of the evaluation range, already compared with the threshold. */
export type Datapoint = "breaching" | "ok" | "missing";

export type MissingData = "missing" | "ignore" | "breaching" | "notBreaching";

export interface Evaluation {
  /** The evaluation range, oldest first: more points than `evaluationPeriods`, so that a gap can be looked past. */
  readonly datapoints: readonly Datapoint[];
  readonly evaluationPeriods: number;
  readonly datapointsToAlarm: number;
  readonly missing: MissingData;
  readonly previous: AlarmState;
}

/** The next state. */
export function nextState(evaluation: Evaluation): AlarmState {
  const { datapoints, evaluationPeriods, datapointsToAlarm, missing, previous } = evaluation;
  const real = datapoints.filter((point) => point !== "missing");
  if (real.length === 0) return withoutData(missing, previous);

  // Enough real points: gaps are looked past, whatever treatMissingData says.
  const window = real.slice(-evaluationPeriods);
  const breaching = window.filter((point) => point === "breaching").length;
  if (window.length === evaluationPeriods) return breaching >= datapointsToAlarm ? "ALARM" : "OK";

  if (missing === "breaching") {
    return breaching + evaluationPeriods - window.length >= datapointsToAlarm ? "ALARM" : "OK";
  }
  if (breaching >= datapointsToAlarm) return "ALARM";
  if (missing === "notBreaching" || breaching < window.length) return "OK";

  // Every real point breaches, but they are too few: an alarm only once the oldest of them is as old as M periods.
  const age = datapoints.length - datapoints.indexOf("breaching");
  return missing === "missing" && age >= datapointsToAlarm ? "ALARM" : previous;
}

function withoutData(missing: MissingData, previous: AlarmState): AlarmState {
  switch (missing) {
    case "missing":
      return "INSUFFICIENT_DATA";
    case "ignore":
      return previous;
    case "breaching":
      return "ALARM";
    case "notBreaching":
      return "OK";
  }
}
