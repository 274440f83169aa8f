# Every string of the Ruby files that are named, one JSON string per line: among them are the inputs of a test suite.
require "json"

def strings(node)
  return unless node.is_a?(RubyVM::AbstractSyntaxTree::Node)
  text = node.children.first
  puts JSON.generate(text) if node.type == :STR && text.is_a?(String)
  node.children.each { |child| child.is_a?(Array) ? child.each { |one| strings(one) } : strings(child) }
end

ARGV.each { |name| strings(RubyVM::AbstractSyntaxTree.parse_file(name)) }
