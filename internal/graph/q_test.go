package graph
import ("testing";"os";"time";"path/filepath")
func TestQ(t *testing.T){
 rd:=func(ns ...string) (ls []*Log){ for _,n:=range ns { r,_:=os.Open("../../../shared/vectors/"+n+".log"); l,err:=Read(filepath.Base(n+".log"),r,500*time.Millisecond); if err!=nil{t.Fatal(err)}; ls=append(ls,l)};return}
 w:=func(n string,p *Picture){ for _,f:=range []Format{SVG,PNG}{o,_:=os.Create("/tmp/gg/"+n+"."+string(f)); if err:=p.Write(o,f);err!=nil{t.Fatal(err)}; o.Close()}}
 w("t1",Throughput(rd("tmobile-infinite.up")))
 w("t2",Throughput(rd("verizon-droptail.up")))
 w("t3",Throughput(rd("tmobile-infinite.up","tmobile-drophead.up","verizon-droptail.up")))
 w("d1",Delay(rd("walk-droptail.up")))
 w("d2",Delay(rd("tmobile-infinite.up","tmobile-drophead.up","verizon-droptail.down")))
}
