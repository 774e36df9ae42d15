package trace

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Format is how a trace is written.
type Format string

// The formats, each read by the file of its name.
const (
	Wholescale Format = "wholescale"  // this project's own, what convert writes
	Azure2019  Format = "azure2019"   // Azure Functions 2019: counts per minute, one file or one a day, with durations and memory
	InVitro    Format = "invitro"     // the same files as InVitro's tools write them, with dirigent.json
	Azure2021  Format = "azure2021"   // Azure Functions 2021: app,func,end_timestamp,duration
	AzureLLM   Format = "azure-llm"   // Azure LLM inference 2023 to 2025: TIMESTAMP,ContextTokens,GeneratedTokens
	Huawei2023 Format = "huawei2023"  // one column for each function, one line for each minute or second
	Huawei2025 Format = "huawei2025"  // requests, or cold starts, one a line
	Ali2021    Format = "alibaba2021" // MSRTQps or MSCallGraph
	Ali2022    Format = "alibaba2022" // MSRTMCR or MSCallGraph
	CountFile  Format = "counts"      // period,count or timestamp,value or ts,value
	Prometheus Format = "prometheus"  // the answer to query_range
	HAR        Format = "har"         // HTTP archive 1.2
	AccessLog  Format = "accesslog"   // common or combined
	AccessJSON Format = "accessjson"  // nginx, Caddy, Traefik or Envoy, one object a line
	ALB        Format = "alb"         // AWS application load balancer
	SimKube    Format = "simkube"     // version 2, JSON or MessagePack
)

// Formats are all, in the order of the documentation.
func Formats() []Format {
	return []Format{Wholescale, Azure2019, InVitro, Azure2021, AzureLLM, Huawei2023, Huawei2025, Ali2021, Ali2022, CountFile, Prometheus, HAR, AccessLog, AccessJSON, ALB, SimKube}
}

// role is what a file is within a folder.
type role string

const (
	roleRows      role = "rows"
	roleDurations role = "durations"
	roleMemory    role = "memory"
	roleStranger  role = ""
)

var (
	albLine    = regexp.MustCompile(`^(http|https|h2|grpcs|ws|wss) \d{4}-\d\d-\d\dT\S+ \S+ \S+ \S+ -?[0-9.]+ -?[0-9.]+ `)
	accessLine = regexp.MustCompile(`^\S+ \S+ .*\[[^\]]+\] "`)
	minuteName = regexp.MustCompile(`^(?:minute)?(\d{1,4})(?:minute)?$`)
)

// recognise says what a file is by its first bytes.
func recognise(s *source) (Format, role, error) {
	head, err := s.start()
	if err != nil {
		return "", roleStranger, err
	}
	trimmed := bytes.TrimLeft(head, " \t\r\n")
	if len(trimmed) == 0 {
		return "", roleStranger, &Error{File: s.name, Line: 1, Err: ErrEmpty}
	}
	first, _, _ := bytes.Cut(trimmed, []byte("\n"))
	first = bytes.TrimSuffix(first, []byte("\r"))
	switch {
	case bytes.HasPrefix(first, []byte(canonicalMagic)):
		return Wholescale, roleRows, nil
	case isPacked(head):
		return SimKube, roleRows, nil
	case trimmed[0] == '{':
		return recogniseObject(trimmed), roleRows, nil
	case albLine.Match(first):
		return ALB, roleRows, nil
	case accessLine.Match(first):
		return AccessLog, roleRows, nil
	}
	format, r := recogniseTitles(strings.Split(string(first), ","))
	if r == roleStranger {
		return "", r, &Error{File: s.name, Line: 1, Err: fmt.Errorf("%q begins no format that is known (%s); --format says which one it is", clip(first), formatNames())}
	}
	return format, r, nil
}

// recogniseObject tells the JSON formats apart by the first key that gives one away.
func recogniseObject(head []byte) Format {
	const far = 4096
	head = head[:min(len(head), far)]
	flat := bytes.ReplaceAll(bytes.ReplaceAll(head[:min(len(head), 200)], []byte(" "), nil), []byte("\n"), nil)
	switch {
	case bytes.HasPrefix(flat, []byte(`{"log":{`)):
		return HAR
	case bytes.HasPrefix(flat, []byte(`{"status":"`)) && bytes.Contains(head, []byte(`"data"`)), bytes.Contains(head, []byte(`"resultType"`)):
		return Prometheus
	case bytes.HasPrefix(flat, []byte(`{"version":`)) && (bytes.Contains(head, []byte(`"trackedObjects"`)) || bytes.Contains(head, []byte(`"events"`))):
		return SimKube
	}
	return AccessJSON
}

// recogniseTitles tells the formats with a header apart.
func recogniseTitles(titles []string) (Format, role) {
	has := make(map[string]bool, len(titles))
	minutes, numbers := 0, 0
	for _, t := range titles {
		t = fold(strings.Trim(strings.TrimSpace(t), `"`))
		has[t] = true
		if minuteName.MatchString(t) {
			minutes++
		}
		if _, err := strconv.Atoi(t); err == nil {
			numbers++
		}
	}
	all := func(names ...string) bool {
		for _, n := range names {
			if !has[n] {
				return false
			}
		}
		return true
	}
	switch {
	case has["hashfunction"] && has["average"] && has["percentileaverage50"]:
		return Azure2019, roleDurations
	case has["averageallocatedmb"]:
		return Azure2019, roleMemory
	case has["hashfunction"] && minutes > 0:
		return Azure2019, roleRows
	case all("app", "func", "endtimestamp"):
		return Azure2021, roleRows
	case all("timestamp", "contexttokens", "generatedtokens"):
		return AzureLLM, roleRows
	case has["funcname"] && (has["totalcostworker"] || has["totalcostcoldstart"]):
		return Huawei2025, roleRows
	case all("timestamp", "traceid", "um", "dm", "rt"):
		if has["service"] || has["uminstanceid"] {
			return Ali2022, roleRows
		}
		return Ali2021, roleRows
	case all("timestamp", "msname", "metrics", "value"):
		return Ali2021, roleRows
	case has["msname"] && has["providerrpcmcr"]:
		return Ali2022, roleRows
	case has["time"] && numbers > 0:
		return Huawei2023, roleRows
	case len(titles) <= 3 && (has["period"] || has["timestamp"] || has["ts"] || has["time"]) && (has["count"] || has["value"] || has["requests"]):
		return CountFile, roleRows
	}
	return "", roleStranger
}

// errFormat is a format that cannot be read from one stream.
var errFormat = errors.New("not a format of one file")

// openRows begins to read files of a format.
func (t *Trace) openRows(files []file, beside companions) (rowReader, error) {
	switch t.format {
	case Azure2019, InVitro:
		return newAzure2019(t, files, beside)
	case Wholescale:
		if len(files) > 1 {
			return nil, &Error{File: files[1].name, Line: 1, Err: errors.New("a second file in the project's own format; expected one in a folder")}
		}
		s, err := files[0].source()
		if err != nil {
			return nil, err
		}
		r, err := newCanonical(t, s)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return r, nil
	case Azure2021:
		return newOrdered(t, files, azure2021Table, false, false)
	case AzureLLM:
		return newOrdered(t, files, azureLLMTable, true, true)
	case Huawei2023:
		return newUnordered(t, Counts, files, openHuawei2023, false)
	case Huawei2025:
		return newOrdered(t, files, openHuawei2025, false, false)
	case Ali2021, Ali2022:
		return openAli(t, files)
	case CountFile:
		return newUnordered(t, Counts, files, openCounts(files), true)
	case Prometheus:
		return newPrometheus(t, files)
	case HAR:
		return newOrdered(t, files, openHAR, true, false)
	case AccessLog:
		return newOrdered(t, files, openAccessLog, true, false)
	case AccessJSON:
		return newOrdered(t, files, openAccessJSON, true, false)
	case ALB:
		return newOrdered(t, files, openALB, true, false)
	case SimKube:
		return newUnordered(t, Pods, files, openSimKube, true)
	}
	return nil, fmt.Errorf("format %q: it is one of %s", t.format, formatNames())
}
