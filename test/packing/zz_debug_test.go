package packing
import ("testing";"fmt";"sort";"os";"github.com/wholescale/wholescale/autoscaler/pack")
func TestZZDebug(t *testing.T){
 all,_,_:=readFolder(folder(t))
 for _,in:=range all{ if in.Name!=os.Getenv("INST"){continue}
  p:=in.problem(); sol:=pack.Solve(p)
  type mm struct{o int; used pack.Resources}
  ms:=make([]mm,len(sol.Machines)); for i,o:=range sol.Machines{ms[i].o=o}
  var binUsed pack.Resources; var binFree pack.Resources
  for _,b:=range p.Bins{binFree=binFree.Plus(b.Free)}
  for _,s:=range sol.Steps{ if s.Place<len(p.Bins){binUsed=binUsed.Plus(p.Groups[s.Group].Needs.Times(s.Count));continue}
   ms[s.Place-len(p.Bins)].used=ms[s.Place-len(p.Bins)].used.Plus(p.Groups[s.Group].Needs.Times(s.Count))}
  fmt.Println("bins free",binFree,"used",binUsed, float64(binUsed.CPU)/float64(binFree.CPU), float64(binUsed.Memory)/float64(binFree.Memory))
  type agg struct{n int; wc,wm float64}
  a:=map[string]*agg{}
  for _,m:=range ms{ o:=p.Offers[m.o]; k:=fmt.Sprintf("%6d/%8d", o.Room.CPU,o.Room.Memory>>20); if a[k]==nil{a[k]=&agg{}}; a[k].n++; a[k].wc+=float64(o.Room.CPU-m.used.CPU); a[k].wm+=float64(o.Room.Memory-m.used.Memory)/(1<<20)}
  var ks []string; for k:=range a{ks=append(ks,k)}; sort.Strings(ks)
  tw,tm:=0.0,0.0
  for _,k:=range ks{fmt.Printf("%s n=%d wasteCPU=%.0f wasteMem=%.0f\n",k,a[k].n,a[k].wc,a[k].wm);tw+=a[k].wc;tm+=a[k].wm}
  fmt.Println("total waste cpu",tw/1000,"mem",tm/2048,"units; price",sol.Price)
 }
}
