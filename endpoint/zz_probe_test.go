package endpoint
import ("testing";"context";"runtime";"time";"fmt";"io";"github.com/aip-go/aip/messages";"strings")
func TestProbeFlood(t *testing.T){
	s:=startServer(t,&ServerOptions{CommandTimeout:time.Hour,Handler:func(ctx context.Context,task *Task)(any,error){
		return task.Do(ctx,messages.Command{ToolName:"x",ToolType:messages.ToolAction})}})
	d:=s.device("dev")
	base:=runtime.NumGoroutine()
	c:=s.constellation("c","dev")
	go func(){ for { if _,err:=c.tr.Receive(context.Background()); err!=nil {return} } }()
	for i:=range 5000 { c.task("dev",fmt.Sprint("s",i),"r") }
	cmd:=d.receive()
	t.Log("goroutines",runtime.NumGoroutine()-base, cmd["session_id"])
	// answer twice, then for other sessions
	d.answer(cmd,"a"); d.answer(cmd,"b")
	for _,x:=range []string{"","s1","s4999"} { d.send(object{"type":"command_results","status":"continue","session_id":x,"prev_response_id":"nope","action_results":[]any{}})}
	st:=time.Now(); s.Close(); t.Log("close",time.Since(st))
	for { _,err:=d.next(); if err!=nil { t.Log(err, err==io.EOF); break } }
}
func TestProbeStartResultsTraversal(t *testing.T){
	s:=startServer(t,&ServerOptions{Handler:func(ctx context.Context,task *Task)(any,error){ return task.Name,nil}})
	d:=s.device("dev")
	for _,n:=range []string{"../../etc/passwd","....//x","\x00","a\r\nb",strings.Repeat("é",300),"..","CON"} {
		d.send(object{"type":"task","status":"continue","session_id":"s","request":"r","task_name":n})
		d.receive(); t.Log(d.receive()["result"])
	}
	// metadata odd, timestamps odd, null bytes in ids
	for _,m:=range []string{
	 `{"type":"task","status":"continue","session_id":"\u0000","request":"r","metadata":{}}`,
	 `{"type":"task","status":"failed","session_id":"q","request":null}`,
	 `{"type":"task","status":"continue","session_id":"","request":""}`,
	 `{"type":"task","status":"continue","target_id":"dev","client_id":"","request":"x","client_type":"constellation"}`,
	 `{"type":"register","status":"ok","client_id":"dev"}`,
	 `{"type":"command_results","status":"ok"}`,
	 `{"type":"task_end","status":"ok","session_id":"z"}`,
	 `{"type":"task","type":"heartbeat","status":"ok"}`,
	 `[]`,`null`,`{}`,``,
	} { d.sendText(m); 
	   ctx,cc:=context.WithTimeout(context.Background(),150*time.Millisecond)
	   for { b,err:=d.tr.Receive(ctx); if err!=nil {break}; t.Logf("%s -> %v",m,parse(t,string(b))) }; cc() }
}
