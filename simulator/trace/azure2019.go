package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"
)

// minutesADay is how many columns of counts a day's file has at most.
const minutesADay = 1440

var dayName = regexp.MustCompile(`\.d(\d\d)\.`)

// azure2019 reads files of one line a function and one column a minute. Time 0 is the first minute of the first file.
type azure2019 struct {
	trace                   *Trace
	files                   []file
	days                    []int
	file                    int // how many were opened; the last of them is being read
	table                   *table
	profiles                map[string]profile
	byFunction, byApp       map[string]float64
	name, app, owner, kind  int
	minutes                 []int // column of each minute, from first on
	first                   int   // minute of the day of the first column
	origin                  int   // the same of the first file
	straight                bool  // minutes are columns one after the other
	counts                  []float64
	seen                    []int // by function, the file that had it last, from 1
	rows, again, unprofiled int
}

func newAzure2019(t *Trace, files []file, beside companions) (rowReader, error) {
	t.kind, t.period = Counts, time.Minute
	a := &azure2019{trace: t, files: files}
	for i, f := range files {
		day := i
		if m := dayName.FindStringSubmatch(f.base); m != nil {
			day, _ = strconv.Atoi(m[1]) // two digits
		} else if len(files) > 1 && i > 0 {
			t.note("%s: no day in its name; taken as the day after %s", f.base, files[i-1].base)
		}
		if i > 0 && day <= a.days[i-1] {
			return nil, &Error{File: f.name, Line: 1, Err: fmt.Errorf("day %d comes after day %d; expected one file a day, as invocations_per_function_md.anon.d01.csv", day, a.days[i-1])}
		}
		a.days = append(a.days, day)
	}
	var err error
	if a.profiles, err = readDurations(beside.durations); err != nil {
		return nil, err
	}
	if a.byFunction, a.byApp, err = readMemory(beside.memory); err != nil {
		return nil, err
	}
	return a, a.open()
}

// open goes to the next file.
func (a *azure2019) open() error {
	if err := a.Close(); err != nil {
		return err
	}
	s, err := a.files[a.file].source()
	if err != nil {
		return err
	}
	if a.table, err = newTable(s); err != nil {
		return errors.Join(err, s.Close())
	}
	a.file++
	t := a.table
	if a.name, err = t.need(Azure2019, "HashFunction"); err != nil {
		return errors.Join(err, a.Close())
	}
	a.app, a.owner, a.kind = t.find("HashApp"), t.find("HashOwner"), t.find("Trigger")
	if err := a.columns(); err != nil {
		return errors.Join(err, a.Close())
	}
	return nil
}

// columns finds the minutes, whatever they are called and wherever they stand.
func (a *azure2019) columns() error {
	var where [minutesADay + 1]int
	first, last := minutesADay+1, 0
	for i, title := range a.table.titles {
		m := minuteName.FindStringSubmatch(fold(title))
		if m == nil {
			if i != a.name && i != a.app && i != a.owner && i != a.kind {
				return &Error{File: a.table.name, Line: 1, Column: title, Err: errors.New("no such column is known; expected HashOwner, HashApp, HashFunction, Trigger and minutes")}
			}
			continue
		}
		minute, _ := strconv.Atoi(m[1]) // at most four digits
		if minute < 0 || minute > minutesADay {
			return &Error{File: a.table.name, Line: 1, Column: title, Err: fmt.Errorf("a day has minutes 1 to %d", minutesADay)}
		}
		if where[minute] != 0 {
			return &Error{File: a.table.name, Line: 1, Column: title, Err: fmt.Errorf("minute %d stands twice", minute)}
		}
		where[minute] = i + 1
		first, last = min(first, minute), max(last, minute)
	}
	if last == 0 && first > 0 {
		return &Error{File: a.table.name, Line: 1, Err: errors.New("there is no column of a minute; expected 1 to 1440, minute_1 or 1_minute")}
	}
	a.first, a.minutes, a.straight = first, a.minutes[:0], true
	for m := first; m <= last; m++ {
		if where[m] == 0 {
			return &Error{File: a.table.name, Line: 1, Err: fmt.Errorf("minute %d is missing between %d and %d", m, first, last)}
		}
		a.minutes = append(a.minutes, where[m]-1)
		a.straight = a.straight && a.minutes[0]+len(a.minutes) == where[m]
	}
	if a.file == 1 {
		a.origin = first
	}
	a.counts = make([]float64, len(a.minutes))
	return nil
}

func (a *azure2019) next(row *Row) error {
	for {
		err := a.table.read()
		if err == nil {
			break
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		if a.file == len(a.files) {
			return a.end()
		}
		if err := a.open(); err != nil {
			return err
		}
	}
	if err := a.table.full(); err != nil {
		return err
	}
	function, err := a.function()
	if err != nil {
		return err
	}
	if err := a.read(); err != nil {
		return err
	}
	a.rows++
	day, offset := a.days[a.file-1]-a.days[0], a.first-a.origin
	*row = Row{Function: function, At: time.Duration(day*minutesADay+offset) * time.Minute, Counts: a.counts, Block: a.file - 1}
	return nil
}

// end says what was found only by reading all.
func (a *azure2019) end() error {
	if a.rows == 0 {
		return &Error{File: a.table.name, Line: 1, Err: ErrEmpty}
	}
	if a.again > 0 {
		a.trace.note("%d rows had a function that stood in the same file before; each was taken as a function of its own (name#2)", a.again)
	}
	if len(a.profiles) > 0 && a.unprofiled > 0 {
		a.trace.note("%d of %d functions have no durations in the folder", a.unprofiled, len(a.trace.functions))
	}
	return io.EOF
}

// read takes the counts of a row.
func (a *azure2019) read() error {
	most := mostRate * 60.0
	row := a.table.row
	if a.straight {
		row = row[a.minutes[0] : a.minutes[0]+len(a.minutes)]
	}
	for i := range a.counts {
		column := i
		if !a.straight {
			column = a.minutes[i]
		}
		field := row[column]
		if len(field) == 1 && field[0] == '0' { // most are
			a.counts[i] = 0
			continue
		}
		n, err := count(field)
		if err != nil {
			return a.table.fail(a.table.title(a.minutes[i]), err)
		}
		if n > most {
			return a.table.fail(a.table.title(a.minutes[i]), a.trace.tooMany(n))
		}
		a.counts[i] = n
	}
	return nil
}

// function is the row's function, with what is known of it.
func (a *azure2019) function() (int, error) {
	t := a.table
	name := bytes.TrimSpace(t.row[a.name])
	if len(name) == 0 {
		return 0, t.failf(t.title(a.name), "a function without a name")
	}
	i, err := a.trace.named(name)
	for again := 2; err == nil && i < len(a.seen) && a.seen[i] == a.file; again++ {
		if again == 2 {
			a.again++
		}
		i, err = a.trace.function(string(name) + "#" + strconv.Itoa(again))
	}
	if err != nil {
		return 0, t.fail(t.title(a.name), err)
	}
	if i < len(a.seen) {
		a.seen[i] = a.file
		return i, nil
	}
	a.seen = append(a.seen, a.file)
	f := &a.trace.functions[i]
	for _, c := range []struct {
		column int
		to     *string
	}{{a.app, &f.App}, {a.owner, &f.Owner}, {a.kind, &f.Trigger}} {
		if c.column >= 0 {
			if *c.to, err = t.text(c.column); err != nil {
				return 0, err
			}
		}
	}
	p, ok := a.profiles[string(name)]
	if f.Durations = p.durations; !ok {
		a.unprofiled++
	}
	if f.MemoryMB, ok = a.byFunction[string(name)]; !ok {
		f.MemoryMB = a.byApp[f.App]
	}
	return i, nil
}

func (a *azure2019) Close() error {
	if a.table == nil {
		return nil
	}
	err := a.table.Close()
	a.table = nil
	return err
}
