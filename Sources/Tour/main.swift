import Multiprocessing
import Glibc
func median(_ a: [Double]) -> Double { a.sorted()[a.count/2] }
func us(_ d: Duration) -> Double { Double(d.components.attoseconds)/1e12 + Double(d.components.seconds)*1e6 }
func go() throws {
    let c = ContinuousClock()
    func run(_ label: String, pause: Int) throws {
      var s: [Double] = [], t: [Double] = []
      for _ in 0..<(CommandLine.arguments.count > 1 ? 3 : 500) { let p = ChildProcess { }; let a = c.now; try p.start(); let b = c.now; try p.join(); let e = c.now; s.append(us(b-a)); t.append(us(e-a)); if pause > 0 { usleep(UInt32(pause)) } }
      print(label, "start", median(s), "start+join", median(t))
    }
    let a = c.now; let p = ChildProcess { }; try p.start(); try p.join(); print("cold", c.now - a)
    try run("sequential", pause: 0)
    try run("with pause", pause: 3000)
    try ForkServer.setSpares(0)
    try run("no spare", pause: 0)
    try run("no spare pause", pause: 3000)
}
try go()
