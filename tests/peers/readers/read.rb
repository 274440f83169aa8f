# ruby dotenv: a file in base64 per line of stdin, its meaning as JSON per line of stdout; null where it cannot be read.
require "dotenv"
require "json"

ENV.clear
$stdout.sync = true
STDIN.each_line do |line|
  begin
    text = line.unpack1("m").force_encoding("UTF-8").delete_prefix("\u{feff}")
    puts JSON.generate(Dotenv::Parser.call(text))
  rescue SyntaxError, StandardError
    puts "null"
  end
end
