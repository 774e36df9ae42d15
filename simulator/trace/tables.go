package trace

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"
)

// requestTable is a table of one request a line.
type requestTable struct {
	*table
	trace *Trace
	take  func(r *requestTable, e *event) (keep bool, err error)
	at    map[string]int // columns by the names that take knows them by
}

// tableOf opens a table that needs these columns.
func tableOf(format Format, take func(*requestTable, *event) (bool, error), need ...string) opener {
	return func(t *Trace, s *source) (raw, error) {
		table, err := newTable(s)
		if err != nil {
			return nil, err
		}
		r := &requestTable{table: table, trace: t, take: take, at: map[string]int{}}
		for _, title := range need {
			if r.at[title], err = table.need(format, title); err != nil {
				return nil, err
			}
		}
		return r, nil
	}
}

// optional is a column that may be missing: -1.
func (r *requestTable) optional(titles ...string) int {
	if i, ok := r.at[titles[0]]; ok {
		return i
	}
	r.at[titles[0]] = r.find(titles...)
	return r.at[titles[0]]
}

func (r *requestTable) event(e *event) error {
	for {
		if err := r.read(); err != nil {
			return err
		}
		if err := r.full(); err != nil {
			return err
		}
		if keep, err := r.take(r, e); keep || err != nil {
			return err
		}
	}
}

// field is a needed column of the row.
func (r *requestTable) field(title string) []byte { return r.row[r.at[title]] }

// took reads a duration in a unit; a row without one is dropped.
func (r *requestTable) took(title string, unit float64, e *event) (bool, error) {
	column := r.at[title]
	b := bytes.TrimSpace(r.row[column])
	if len(b) == 0 || bytes.EqualFold(b, []byte("nan")) || bytes.Equal(b, []byte("-")) || bytes.EqualFold(b, []byte("null")) {
		r.trace.drop(&r.lines, "no duration ("+r.title(column)+")")
		return false, nil
	}
	v, err := r.number(column, 0)
	if err != nil {
		return false, err
	}
	if e.Duration, err = seconds(v * unit); err != nil {
		return false, r.fail(r.title(column), err)
	}
	e.HasDuration = true
	return true, nil
}

// azure2021: end_timestamp and duration are seconds; the request began at their difference.
var azure2021Table = tableOf(Azure2021, func(r *requestTable, e *event) (bool, error) {
	if keep, err := r.took("duration", 1, e); !keep {
		return false, err
	}
	end, err := offset(r.field("end_timestamp"))
	if err != nil {
		return false, r.fail("end_timestamp", err)
	}
	e.when, e.column = end-int64(e.Duration), "end_timestamp"
	// func is unique only within app.
	name := append(append(append([]byte{}, r.field("app")...), '/'), r.field("func")...)
	if e.Function, err = r.trace.named(name); err != nil {
		return false, r.fail("func", err)
	}
	r.trace.functions[e.Function].App = string(r.field("app"))
	return true, nil
}, "app", "func", "end_timestamp", "duration")

// azureLLMTable: a request has tokens and no duration.
var azureLLMTable = tableOf(AzureLLM, func(r *requestTable, e *event) (bool, error) {
	var err error
	if e.when, err = moment(r.field("TIMESTAMP")); err != nil {
		return false, r.fail("TIMESTAMP", err)
	}
	if e.ContextTokens, err = tokens(string(r.field("ContextTokens"))); err != nil {
		return false, r.fail("ContextTokens", err)
	}
	if e.GeneratedTokens, err = tokens(string(r.field("GeneratedTokens"))); err != nil {
		return false, r.fail("GeneratedTokens", err)
	}
	e.column = "TIMESTAMP"
	e.Function, err = r.trace.function("llm")
	return true, err
}, "TIMESTAMP", "ContextTokens", "GeneratedTokens")

// openHuawei2025 tells the two tables apart: requests, and cold starts. A function is funcName---userID---poolName.
func openHuawei2025(t *Trace, s *source) (raw, error) {
	table, err := newTable(s)
	if err != nil {
		return nil, err
	}
	r := &requestTable{table: table, trace: t, at: map[string]int{}, take: huawei2025Request}
	need := []string{"time_worker", "totalCost_worker", "funcName"}
	if table.find("totalCost_cold_start") >= 0 {
		need = []string{"time", "totalCost_cold_start", "funcName"}
		r.take = huawei2025ColdStart
	}
	for _, title := range need {
		if r.at[title], err = table.need(Huawei2025, title); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func huawei2025Request(r *requestTable, e *event) (bool, error) {
	if keep, err := r.took("totalCost_worker", 1, e); !keep {
		return false, err
	}
	logged, err := offset(r.field("time_worker"))
	if err != nil {
		return false, r.fail("time_worker", err)
	}
	// The published tables do not say whether a worker logs at the beginning or the end. Its time is a millisecond from the
	// frontend's for requests of 26 ms: both log at the end.
	e.when, e.column = logged-int64(e.Duration), "time_worker"
	if size := r.optional("requestBodySize"); size >= 0 {
		if n, err := number(r.row[size], 0); err == nil {
			e.BytesIn = int64(min(n, 1e15))
		}
	}
	return true, r.huaweiFunction(e)
}

func huawei2025ColdStart(r *requestTable, e *event) (bool, error) {
	if keep, err := r.took("totalCost_cold_start", 1, e); !keep {
		return false, err
	}
	var err error
	if e.when, err = offset(r.field("time")); err != nil {
		return false, r.fail("time", err)
	}
	// time is of the day where there is a column day, and does not pass 86,400 then.
	if day := r.optional("day"); day >= 0 && e.when <= 86_400e9 {
		d, err := r.number(day, 0)
		if err != nil {
			return false, err
		}
		if d > 366 {
			return false, r.failf("day", "%g is more than a year", d)
		}
		e.when += int64(d) * 86_400e9
	}
	e.Class = "coldstart"
	return true, r.huaweiFunction(e)
}

// huaweiFunction names the function and takes the memory of its pool: pool24-600-512-0000577863 is 600 millicores, 512 MB.
func (r *requestTable) huaweiFunction(e *event) error {
	name := string(r.field("funcName"))
	pool, memory := "", 0.0
	if i := r.optional("userID"); i >= 0 {
		name += "---" + string(r.row[i])
	}
	if i := r.optional("podID"); i >= 0 {
		parts := strings.Split(string(r.row[i]), "-")
		if len(parts) >= 3 {
			pool = strings.Join(parts[:3], "-")
			if mb, err := strconv.ParseFloat(parts[2], 64); err == nil && mb > 0 && mb < 1e7 {
				memory = mb
			}
			name += "---" + pool
		}
	}
	var err error
	if e.Function, err = r.trace.named([]byte(name)); err != nil {
		return r.fail("funcName", err)
	}
	r.trace.functions[e.Function].MemoryMB = memory
	return nil
}

// aliCall is a call between two services: of the two records of a remote call the caller's counts, whose rt is positive.
func aliCall(r *requestTable, e *event) (bool, error) {
	callee := bytes.TrimSpace(r.field("dm"))
	rt := bytes.TrimSpace(r.field("rt"))
	switch {
	case len(rt) > 1 && rt[0] == '-':
		r.trace.drop(&r.lines, "recorded twice: the callee's record of a call (rt below 0)")
		return false, nil
	case len(callee) == 0 || bytes.Equal(callee, []byte("(?)")) || bytes.EqualFold(callee, []byte("nan")) || bytes.EqualFold(callee, []byte("UNKNOWN")):
		r.trace.drop(&r.lines, "no callee (dm)")
		return false, nil
	}
	if keep, err := r.took("rt", 1e-3, e); !keep {
		return false, err
	}
	ms, err := r.number(r.at["timestamp"], 0)
	if err != nil {
		return false, err
	}
	if ms > 1e12 {
		return false, r.failf("timestamp", "%g ms; expected them since the begin of the trace", ms)
	}
	e.when, e.column = int64(math.Round(ms*1e6)), "timestamp"
	if i := r.optional("rpctype"); i >= 0 {
		if e.Class, err = r.text(i); err != nil {
			return false, err
		}
	}
	if e.Function, err = r.trace.named(callee); err != nil {
		return false, r.fail("dm", err)
	}
	return true, nil
}

// The rates of Alibaba's tables are calls a second, once a minute, of one instance of a service.
const aliPeriod = time.Minute

func (r *requestTable) aliRate(rate float64, e *event) error {
	ms, err := r.number(r.at["timestamp"], 0)
	if err != nil {
		return err
	}
	if ms > 1e12 {
		return r.failf("timestamp", "%g ms; expected them since the begin of the trace", ms)
	}
	if e.Function, err = r.trace.named(bytes.TrimSpace(r.field("msname"))); err != nil {
		return r.fail("msname", err)
	}
	n := rate * aliPeriod.Seconds() * r.trace.options.scale()
	if err := r.trace.tooMany(n); err != nil {
		return r.fail("msname", err)
	}
	e.when = int64(ms) * 1e6
	e.Counts = []float64{n}
	return nil
}

// aliRates is a long table: a metric a line. What a service is asked is its provider's and HTTP calls.
func aliRates(r *requestTable, e *event) (bool, error) {
	metric := bytes.TrimSpace(r.field("metrics"))
	if !bytes.EqualFold(metric, []byte("providerRPC_MCR")) && !bytes.EqualFold(metric, []byte("HTTP_MCR")) {
		r.trace.drop(&r.lines, "another metric than providerRPC_MCR and HTTP_MCR")
		return false, nil
	}
	rate, err := r.number(r.at["value"], 0)
	if err != nil {
		return false, err
	}
	return true, r.aliRate(rate, e)
}

// aliWide is a wide table: one column a metric.
func aliWide(r *requestTable, e *event) (bool, error) {
	rate := 0.0
	for _, title := range []string{"providerrpc_mcr", "http_mcr"} {
		i := r.optional(title)
		if i < 0 || len(bytes.TrimSpace(r.row[i])) == 0 {
			continue
		}
		v, err := r.number(i, 0)
		if err != nil {
			return false, err
		}
		rate += v
	}
	return true, r.aliRate(rate, e)
}

// openAli finds out which of Alibaba's tables this is.
func openAli(t *Trace, files []file) (rowReader, error) {
	s, err := files[0].source()
	if err != nil {
		return nil, err
	}
	head, err := s.start()
	files[0].src = s
	if err != nil {
		return nil, err
	}
	first, _, _ := bytes.Cut(head, []byte("\n"))
	titles := strings.Split(fold(string(first)), ",")
	has := func(title string) bool {
		for _, t := range titles {
			if strings.Trim(strings.TrimSpace(t), "\"") == title {
				return true
			}
		}
		return false
	}
	switch {
	case has("traceid"):
		return newOrdered(t, files, tableOf(t.format, aliCall, "timestamp", "dm", "rt"), false, false)
	case has("metrics"):
		t.period = aliPeriod
		return newUnordered(t, Counts, files, tableOf(t.format, aliRates, "timestamp", "msname", "metrics", "value"), false)
	}
	t.period = aliPeriod
	if t.options.Scale == 0 || t.options.Scale == 1 {
		t.note("rates of %s are normalised to 0 to 1; --scale says what 1 stands for", t.format)
	}
	return newUnordered(t, Counts, files, tableOf(t.format, aliWide, "timestamp", "msname", "providerrpc_mcr"), false)
}
