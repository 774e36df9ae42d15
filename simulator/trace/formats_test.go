package trace

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// samples is a small trace in each format, and what must come out: function, time in ms, then the duration in ms or the counts.
var samples = []struct {
	name   string
	format Format
	kind   Kind
	text   string
	rows   []string
	drops  int64
}{
	{"azure 2019", Azure2019, Counts, "HashOwner,HashApp,HashFunction,Trigger,1,2,3\no,a,f,http,0,2,1\no,a,g,timer,1,0,0\n", []string{"f 0 [0 2 1]", "g 0 [1 0 0]"}, 0},
	{"azure 2019 as pandas writes it", Azure2019, Counts, "2_minute,hash_function,1_minute,Hash App\n5,f,4,a\n", []string{"f 0 [4 5]"}, 0},
	{"azure 2019, part of a day", Azure2019, Counts, "HashFunction,480,481\nf,1,2\n", []string{"f 0 [1 2]"}, 0},
	{"azure 2021", Azure2021, Requests, "app,func,end_timestamp,duration\na,f,2.5,0.5\na,g,1.5,0.25\nb,f,3,\n", []string{"a/g 0 250ms", "a/f 750 500ms"}, 1},
	{"azure llm", AzureLLM, Requests, header + "2023-11-16 18:15:46.6805900,10,5\n2023-11-16 18:15:47.6805900,1,2\n", []string{"llm 0 10/5", "llm 1000 1/2"}, 0},
	{"azure lmm", AzureLLM, Requests, "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n2025-01-01 00:00:00.5,2,10,5\n", []string{"llm 0 10/5"}, 0},
	{"huawei 2023", Huawei2023, Counts, "day,time,0,1\n0,0,3,\n0,60,1,2\n1,86400,0,7\n", []string{"0 0 [3]", "0 60000 [1]", "1 60000 [2]", "0 86400000 [0]", "1 86400000 [7]"}, 1},
	{"huawei 2025 requests", Huawei2025, Requests, "time_worker,time_frontend,requestID,clusterName,funcName,podID,userID,totalCost_worker,requestBodySize\n" +
		"100.5,100.6,x,1,296,pool22-300-128-0000618412,224,0.5,1018\n", []string{"296---224---pool22-300-128 0 500ms"}, 0},
	{"huawei 2025 cold starts", Huawei2025, Requests, "day,time,clusterName,funcName,userID,requestID,totalCost_cold_start,podID\n1,10.5,1,10,134,x,2.25,pool24-600-512-0000577863\n",
		[]string{"10---134---pool24-600-512 0 2.25s coldstart"}, 0},
	{"alibaba 2021 rates", Ali2021, Counts, "timestamp,msname,msinstanceid,metrics,value\n0,ms,i1,providerRPC_MCR,2\n0,ms,i1,providerRPC_RT,9.5\n60000,ms,i2,HTTP_MCR,0.5\n", []string{"ms 0 [120]", "ms 60000 [30]"}, 1},
	{"alibaba 2021 calls", Ali2021, Requests, "timestamp,traceid,rpcid,um,rpctype,interface,dm,rt\n20,t,0.1,a,rpc,i,b,13\n20,t,0.1,a,rpc,i,b,-12\n5,t,0.2,a,http,i,c,4\n7,t,0.3,a,mc,i,(?),1\n",
		[]string{"c 0 4ms http", "b 15 13ms rpc"}, 2},
	{"alibaba 2022 rates", Ali2022, Counts, "timestamp,msname,msinstanceid,nodeid,providerrpc_rt,providerrpc_mcr,http_mcr,http_rt\n60000,MS_1,p,n,10,0.5,0.25,1\n", []string{"MS_1 0 [45]"}, 0},
	{"alibaba 2022 calls", Ali2022, Requests, "timestamp,traceid,service,rpc_id,um,uminstanceid,rpctype,interface,dm,dminstanceid,rt\n115352,T,S,0.1,MS_1,p,rpc,i,MS_2,q,2.0\n", []string{"MS_2 0 2ms rpc"}, 0},
	{"counts", CountFile, Counts, "period,count\n1998-04-30 21:30:00,2\n1998-04-30 21:31:00,11\n1998-04-30 21:33:00,4\n", []string{"requests 0 [2 11]", "requests 180000 [4]"}, 0},
	{"timestamp and value", CountFile, Counts, "\"timestamp\",\"value\"\n2014-04-10 00:04:00,94.0\n2014-04-10 00:09:00,56.5\n", []string{"requests 0 [94 56.5]"}, 0},
	{"ts and value", CountFile, Counts, "ts,value\n1633564800,0.284750\n1633564860,0.249650\n", []string{"requests 0 [0.28475 0.24965]"}, 0},
	{"prometheus rate", Prometheus, Counts, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"host":"a"},"values":[[60,"0.5"],[120,"NaN"],[180,"1"]]}]}}`,
		[]string{`{host="a"} 0 [30]`, `{host="a"} 120000 [60]`}, 1},
	{"prometheus counter", Prometheus, Counts, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"x_total"},"values":[[60,"5"],[120,"8"],[180,"2"],[300,"9"],[360,"10"]]}]}}`,
		[]string{`x_total 0 [3 2]`, `x_total 240000 [1]`}, 1},
	{"har", HAR, Requests, `{"log":{"version":"1.2","entries":[{"startedDateTime":"2024-01-01T00:00:00.000Z","time":50,"request":{"url":"https://A.example/x","bodySize":-1},` +
		`"response":{"status":200,"bodySize":10},"timings":{"wait":40}},{"startedDateTime":"2024-01-01T00:00:01.000Z","time":-1,"request":{"url":"https://a.example/"},"response":{"status":0},"timings":{"wait":-1}}]}}`,
		[]string{"a.example 0 40ms 2xx"}, 1},
	{"common log", AccessLog, Requests, `1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326` + "\n" + `1.2.3.4 - - [10/Oct/2000:13:55:37 -0700] "GET /\" HTTP/1.0" 404 -` + "\n",
		[]string{"requests 0 ? 2xx", "requests 1000 ? 4xx"}, 0},
	{"combined log with seconds", AccessLog, Requests, `1.2.3.4 - bob [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.0" 200 2326 "-" "agent \"x\" [1]" 0.250` + "\n", []string{"requests 0 250ms 2xx"}, 0},
	{"common log with microseconds", AccessLog, Requests, `1.2.3.4 - - [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.0" 500 2326 1500` + "\n", []string{"requests 0 1.5ms 5xx"}, 0},
	{"with virtual hosts", AccessLog, Requests, `Shop.example:443 1.2.3.4 - - [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.0" 200 2326 "-" "agent"` + "\n", []string{"shop.example 0 ? 2xx"}, 0},
	{"nginx", AccessJSON, Requests, `{"msec":"1700000010.500","request_time":"0.500","host":"Shop.example:8080","status":"200"}` + "\n" + `{"msec":"1700000010.600","request_time":"1.100","host":"shop.example","status":"502"}` + "\n" +
		`{"msec":"1700000011","request_time":"-","host":"shop.example"}` + "\n", []string{"shop.example 0 1.1s 5xx", "shop.example 500 500ms 2xx"}, 1},
	{"caddy", AccessJSON, Requests, `{"level":"info","ts":1700000010.5,"logger":"http.log.access","request":{"method":"GET","host":"a.example","uri":"/"},"duration":0.25,"size":12,"status":200}` + "\n", []string{"a.example 0 250ms 2xx"}, 0},
	{"traefik", AccessJSON, Requests, `{"StartUTC":"2024-01-01T00:00:00.5Z","Duration":1500000,"RequestHost":"a.example","DownstreamStatus":201,"ServiceName":"s@docker"}` + "\n", []string{"a.example 0 1.5ms 2xx"}, 0},
	{"envoy", AccessJSON, Requests, `{"start_time":"2024-01-01T00:00:00.500Z","duration":12,"response_code":200,"upstream_cluster":"c","authority":"a.example"}` + "\n", []string{"a.example 0 12ms 2xx"}, 0},
	{"alb", ALB, Requests, `https 2018-07-02T22:23:00.186641Z app/my-lb/50dc6c 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 34 57 "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE TLSv1.2 arn:aws:tg "Root=1-58" "www.example.com" "arn:cert" 1 2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-"` + "\n" +
		`http 2018-07-02T22:23:00.186641Z app/my-lb/50dc6c 192.168.131.39:2817 - -1 -1 -1 460 - 34 0 "GET http://x/ HTTP/1.1" "curl" - - arn "Root" "-"` + "\n", []string{"www.example.com 0 48ms 2xx"}, 1},
	{"simkube", SimKube, Pods, `{"version":2,"config":{"trackedObjects":{}},"events":[{"ts":100,"applied_objs":[{"kind":"Deployment","metadata":{"name":"w","namespace":"n"},"spec":{"replicas":3}},` +
		`{"kind":"ConfigMap","metadata":{"name":"c"}}],"deleted_objs":[]},{"ts":160,"applied_objs":[],"deleted_objs":[{"kind":"Deployment","metadata":{"name":"w","namespace":"n"}}]}],"index":{},"pod_lifecycles":{}}`,
		[]string{"n/w 0 [3]", "n/w 60000 [0]"}, 1},
	{"simkube as it writes it, structs as arrays", SimKube, Pods, "\x95\x02\x81\xa1a\xc0\x92" + // version 2, config, two events
		"\x93\x64\x91\x83\xa4kind\xaaDeployment\xa8metadata\x82\xa4name\xa1w\xa9namespace\xa1n\xa4spec\x81\xa8replicas\x03\x90" +
		"\x93\xcc\xa0\x90\x91\x82\xa4kind\xaaDeployment\xa8metadata\x82\xa4name\xa1w\xa9namespace\xa1n" +
		"\x80\x81\x92\xa1v\xa3n/w\x81\xce\x00\x00\x00\x05\x91\xc0", []string{"n/w 0 [3]", "n/w 60000 [0]"}, 0},
	{"simkube as it writes it, structs as maps", SimKube, Pods, "\x82\xa7version\x02\xa6events\x91" +
		"\x82\xa2ts\xd2\x00\x00\x00\x64\xacapplied_objs\x92\x82\xa4kind\xa3Pod\xa8metadata\x81\xa4name\xa1p\x81\xa4kind\xa4Node", []string{"default/p 0 [1]"}, 1},
	{"our own, counts", Wholescale, Counts, canonicalMagic + " {\"kind\":\"counts\",\"period_ns\":60000000000}\n" + canonicalCounts + "\n# function {\"name\":\"f\",\"mean_ns\":5}\n0,f,1 0 2.5\n# block\n180000000000,f,1\n", []string{"f 0 [1 0 2.5]", "f 180000 [1]"}, 0},
	{"our own, requests", Wholescale, Requests, canonicalMagic + " {\"kind\":\"requests\"}\n" + canonicalRequests + "\n0,\"a,b\",1000000,1,2,,,2xx\n5000000,c,,,,3,4,\n", []string{"a,b 0 1ms 2xx", "c 5 3/4"}, 0},
}

// line is a row as samples have it.
func line(t *Trace, r *Row) string {
	s := fmt.Sprintf("%s %d", t.Functions()[r.Function].Name, r.At.Milliseconds())
	switch {
	case t.Kind() != Requests:
		return s + " " + fmt.Sprint(r.Counts)
	case r.HasDuration:
		s += " " + r.Duration.String()
	case r.ContextTokens > 0:
		s += fmt.Sprintf(" %d/%d", r.ContextTokens, r.GeneratedTokens)
	default:
		s += " ?"
	}
	return strings.TrimSpace(s + " " + r.Class)
}

func linesOf(t testing.TB, tr *Trace) []string {
	t.Helper()
	var list []string
	if err := tr.Each(func(r *Row) error { list = append(list, line(tr, r)); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestEveryFormatIsRecognisedAndRead(t *testing.T) {
	seen := map[Format]bool{InVitro: true} // as Azure 2019, but for the folder
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			seen[s.format] = true
			for name, text := range map[string]string{
				"as it is": s.text, "gzip": packed(t, s.text), "zstd": zstandard(t, s.text), "BOM": "\ufeff" + s.text, "CRLF": strings.ReplaceAll(s.text, "\n", "\r\n"), "no last end of line": strings.TrimSuffix(s.text, "\n"),
			} {
				if isPacked([]byte(s.text)) && name == "CRLF" {
					continue // no lines
				}
				tr := read(t, "f", text, Options{})
				if tr.Format() != s.format || tr.Kind() != s.kind {
					t.Errorf("%s: recognised as %s of %s", name, tr.Format(), tr.Kind())
				}
				if got := linesOf(t, tr); !slices.Equal(got, s.rows) {
					t.Errorf("%s: %q\nnot %q", name, got, s.rows)
				}
				dropped := int64(0)
				for _, d := range tr.Drops() {
					dropped += d.Count
				}
				if dropped != s.drops {
					t.Errorf("%s: %d rows left out: %v", name, dropped, tr.Drops())
				}
			}
		})
	}
	for _, f := range Formats() {
		if !seen[f] {
			t.Errorf("no sample of %s", f)
		}
	}
}

func TestFormatOverridesWhatIsRecognised(t *testing.T) {
	if got := linesOf(t, read(t, "f", `x [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.0" 200 5`, Options{Format: AccessLog})); len(got) != 1 {
		t.Error(got)
	}
	if _, err := Read(strings.NewReader(header), "f", Options{Format: "excel"}); err == nil || !strings.Contains(err.Error(), `format "excel": it is one of wholescale, azure2019`) {
		t.Error(err)
	}
}

func TestScaleMultipliesCounts(t *testing.T) {
	if got := linesOf(t, read(t, "f", "ts,value\n60,2\n120,3\n", Options{Scale: 0.5})); got[0] != "requests 0 [1 1.5]" {
		t.Error(got)
	}
}

func TestALongLogIsPutInOrderAndWhatComesTooLateIsSaid(t *testing.T) {
	// Each takes i seconds and ends at 100 + i: all begin at 100, but for one that began long before.
	text := "app,func,end_timestamp,duration\n"
	for i := range 50 {
		text += fmt.Sprintf("a,f,%d,%d\n", 100+i, i)
	}
	tr := read(t, "f.csv", text+"a,f,200,150\n", Options{})
	if got := linesOf(t, tr); got[0] != "a/f 0 2m30s" || len(got) != 51 {
		t.Error(got)
	}
	tr = read(t, "f.csv", text+"a,f,200,150\n", Options{ReorderMost: 10})
	err := tr.Each(func(*Row) error { return nil })
	if err == nil || err.Error() != "f.csv:52: column end_timestamp: 50s before a request far above; expected about the order of arrival (10 requests are kept back to put them in order)" {
		t.Error(err)
	}
}

// sameRows checks that two traces have the same rows, whatever their formats; blocks may be numbered otherwise.
func sameRows(a, b *Trace) error {
	var x, y Row
	blocks := [2]int{-1, -1}
	for n := 0; ; n++ {
		ea, eb := a.Next(&x), b.Next(&y)
		if errors.Is(ea, io.EOF) && errors.Is(eb, io.EOF) {
			break
		}
		if ea != nil || eb != nil {
			return fmt.Errorf("row %d: %w, %w", n, ea, eb)
		}
		if a.Functions()[x.Function] != b.Functions()[y.Function] {
			return fmt.Errorf("row %d: function %+v, not %+v", n, b.Functions()[y.Function], a.Functions()[x.Function])
		}
		if n > 0 && (x.Block != blocks[0]) != (y.Block != blocks[1]) {
			return fmt.Errorf("row %d: blocks %d and %d", n, x.Block, y.Block)
		}
		blocks = [2]int{x.Block, y.Block}
		if !slices.Equal(x.Counts, y.Counts) {
			return fmt.Errorf("row %d: counts %v, not %v", n, y.Counts, x.Counts)
		}
		x.Counts, y.Counts, x.Block, y.Block, x.Function, y.Function = nil, nil, 0, 0, 0, 0
		if fmt.Sprint(x) != fmt.Sprint(y) {
			return fmt.Errorf("row %d: %+v, not %+v", n, y, x)
		}
	}
	if !a.Start().Equal(b.Start()) || a.Period() != b.Period() || a.Kind() != b.Kind() {
		return fmt.Errorf("start %s period %s %s, not %s %s %s", b.Start(), b.Period(), b.Kind(), a.Start(), a.Period(), a.Kind())
	}
	return nil
}

func converted(t testing.TB, tr *Trace) *Trace {
	t.Helper()
	var b strings.Builder
	if _, err := Convert(&b, tr); err != nil {
		t.Fatal(err)
	}
	return read(t, "converted", b.String(), Options{})
}

func TestConvertKeepsCountsAndTimes(t *testing.T) {
	for _, s := range samples {
		if err := sameRows(read(t, "f", s.text, Options{}), converted(t, read(t, "f", s.text, Options{}))); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	paths := []string{
		"azure2019/500", "azure2021", "invitro", "simkube", "nab/elb_request_count_8c0756.csv.gz",
		"azure2019/daily1250", "azure-llm", "web", "crane", "crane/dsp_input12.csv.gz", "nab/grok_asg_anomaly.csv.gz", "nab/nyc_taxi.csv.gz", "nab/Twitter_volume_AMZN.csv.gz",
	}
	if testing.Short() {
		paths = paths[:5]
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			full := shared(t, path)
			if err := sameRows(opened(t, full, Options{}), converted(t, opened(t, full, Options{}))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSampleIsASubsetThatDoesNotReshuffle(t *testing.T) {
	all := []Function{}
	for i := range 100 {
		all = append(all, Function{Name: fmt.Sprintf("f%d", i)})
	}
	few, err := Sample(all[:99], 10, 3)
	if err != nil {
		t.Fatal(err)
	}
	more, err := Sample(all, 10, 3)
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for name := range few {
		if !more[name] {
			lost++
		}
	}
	if lost > 1 || len(few) != 10 {
		t.Errorf("%d of %d picked otherwise", lost, len(few))
	}
	tr := Select(read(t, "f.csv", twoFunctions, Options{}), map[string]bool{"g": true})
	if got := linesOf(t, tr); !slices.Equal(got, []string{"g 0 [1 3 0]"}) || len(tr.Functions()) != 1 {
		t.Error(got)
	}
}

func TestFitFindsTheShapeThatWasMade(t *testing.T) {
	want := Shape{Rate: 20, Length: 6 * 86_400, Season: 86_400, Amplitude: 0.6, Peak: 21_600, SpikesPerDay: 3, SpikeLength: 600, SpikeFactor: 8, Functions: 5, Skew: 1.2}
	tr, err := Synthesize(want, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Fit(tr)
	if err != nil {
		t.Fatal(err)
	}
	near := func(name string, got, want, part float64) {
		if math.Abs(got-want) > part*want {
			t.Errorf("%s %g, not %g", name, got, want)
		}
	}
	near("rate", got.Rate, want.Rate, 0.02)
	near("season", got.Season, want.Season, 0)
	near("amplitude", got.Amplitude, want.Amplitude, 0.05)
	near("peak", got.Peak, want.Peak, 0.05)
	near("spikes", got.SpikesPerDay, want.SpikesPerDay, 0.5)
	near("spike length", got.SpikeLength, want.SpikeLength, 0.25)
	near("spike factor", got.SpikeFactor, want.SpikeFactor, 0.25)
	near("skew", got.Skew, want.Skew, 0.05)
	if got.Functions != 5 {
		t.Errorf("%d functions", got.Functions)
	}
}

func TestThePublishedTracesHoldWhatTheirDescriptionsSay(t *testing.T) {
	for _, c := range []struct {
		path      string
		format    Format
		functions int
		requests  float64
		peak      float64 // a second
	}{
		{"azure2019/500", Azure2019, 500, 3_037_902, 126.717},
		{"azure2019/daily1250", Azure2019, 1250, 18_279_781, 445.75},
		{"azure2021", Azure2021, 31, 199, 22},
		{"azure-llm", AzureLLM, 1, 8_819, 67},
		{"web", CountFile, 1, 1_352_804_107, 3823.767}, // 229,426 in the busiest minute
		{"invitro", InVitro, 4, 4525, 0.333},
	} {
		if testing.Short() && c.requests > 1e7 {
			continue
		}
		i, err := Describe(opened(t, shared(t, c.path), Options{}))
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if i.Format != c.format || i.Functions != c.functions || i.Requests != c.requests || i.PeakPerSecond != c.peak || len(i.Dropped) > 0 {
			t.Errorf("%s: %+v", c.path, i)
		}
	}
}

func TestAShapeMustMakeSense(t *testing.T) {
	for _, c := range []struct {
		s    Shape
		says string
	}{
		{Shape{Length: 3600}, "rate 0: it is above 0"},
		{Shape{Rate: 1}, "length 0: it is 60 to 3.16224e+08"},
		{Shape{Rate: 1, Length: 3600, Amplitude: 2}, "amplitude 2: it is 0 to 1"},
		{Shape{Rate: math.NaN(), Length: 3600}, "rate NaN: it is 0 to 1e+08"},
		{Shape{Rate: 1, Length: 3600, SpikesPerDay: 1}, "spikes need a length and a factor"},
	} {
		if _, err := Synthesize(c.s, 1); err == nil || err.Error() != c.says {
			t.Errorf("%v\nnot %s", err, c.says)
		}
	}
}

func TestDescribe(t *testing.T) {
	i, err := Describe(read(t, "f.csv", "ts,value\n60,60\n120,180\n180,0\n", Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if i.Requests != 240 || i.SpanSeconds != 180 || i.PeakPerSecond != 3 || i.PeakAtSeconds != 60 || i.MeanPerSecond != 1.333 || i.Start != "1970-01-01T00:01:00Z" {
		t.Errorf("%+v", i)
	}
	if got := (Durations{Known: true, Mean: 5, Percentiles: [7]time.Duration{0, 10, 20, 30, 40, 50, 60}}).At(0.375); got != 25 {
		t.Errorf("the quantile 0.375 is %d", got)
	}
}
