// The receiver of Boost.Beast: see tests/receivers/README.md.
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

namespace beast = boost::beast;
namespace websocket = beast::websocket;
using tcp = boost::asio::ip::tcp;

namespace {

void say(std::string const& line)
{
    std::cout << line << std::endl;
}

std::string hex(beast::flat_buffer const& buffer)
{
    static char const digits[] = "0123456789abcdef";
    auto const bytes = static_cast<unsigned char const*>(buffer.cdata().data());
    std::string out;
    for (std::size_t i = 0; i < buffer.size(); ++i) {
        out += digits[bytes[i] >> 4];
        out += digits[bytes[i] & 15];
    }
    return out;
}

template<class Stream>
void prepare(Stream& stream)
{
    websocket::permessage_deflate deflate;
    deflate.server_enable = true;
    deflate.client_enable = true;
    stream.set_option(deflate);
    stream.read_message_max(0);
}

template<class Stream>
void receive(Stream& stream, std::string const& id, boost::asio::yield_context yield)
{
    for (;;) {
        beast::flat_buffer buffer;
        beast::error_code error;
        stream.async_read(buffer, yield[error]);
        if (error) {
            auto const code = error == websocket::error::closed ? stream.reason().code : 1006;
            say(id + " end " + std::to_string(code) + " " + error.message());
            return;
        }
        say(id + (stream.got_text() ? " text " : " binary ") + hex(buffer));
    }
}

void accepted(std::shared_ptr<websocket::stream<tcp::socket>> stream, boost::asio::yield_context yield)
{
    beast::error_code error;
    beast::flat_buffer buffer;
    beast::http::request<beast::http::string_body> request;
    beast::http::async_read(stream->next_layer(), buffer, request, yield[error]);
    if (error)
        return;
    std::string const target(request.target());
    auto const at = target.find("id=");
    std::string const id = at == std::string::npos ? "?" : target.substr(at + 3);
    prepare(*stream);
    stream->async_accept(request, yield[error]);
    if (error)
        return say(id + " end 0 " + error.message());
    receive(*stream, id, yield);
}

void serve(boost::asio::io_context& context)
{
    auto acceptor = std::make_shared<tcp::acceptor>(
        context, tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), 0));
    say(std::to_string(acceptor->local_endpoint().port()));
    boost::asio::spawn(context, [&context, acceptor](boost::asio::yield_context yield) {
        for (;;) {
            auto stream = std::make_shared<websocket::stream<tcp::socket>>(context);
            beast::error_code error;
            acceptor->async_accept(stream->next_layer(), yield[error]);
            if (!error)
                boost::asio::spawn(context, [stream](boost::asio::yield_context inner) {
                    accepted(stream, inner);
                });
        }
    });
}

// ws://127.0.0.1:PORT
void connect(boost::asio::io_context& context, std::string const& url, int number)
{
    auto const id = std::to_string(number);
    auto const authority = url.substr(5);
    auto const port = std::atoi(authority.substr(authority.find(':') + 1).c_str());
    auto const path = "/" + std::to_string(number % 10) + "?id=" + id;
    boost::asio::spawn(context, [&context, authority, port, path, id](boost::asio::yield_context yield) {
        websocket::stream<tcp::socket> stream(context);
        beast::error_code error;
        tcp::endpoint const endpoint(boost::asio::ip::make_address("127.0.0.1"),
                                     static_cast<unsigned short>(port));
        stream.next_layer().async_connect(endpoint, yield[error]);
        prepare(stream);
        if (!error)
            stream.async_handshake(authority, path, yield[error]);
        if (error)
            return say(id + " end 0 " + error.message());
        receive(stream, id, yield);
    });
}

} // namespace

int main(int count, char** arguments)
{
    boost::asio::io_context context(1);
    if (count == 2 && std::string(arguments[1]) == "server") {
        serve(context);
    } else if (count == 5) {
        auto const first = std::atoi(arguments[3]);
        for (auto id = first; id < first + std::atoi(arguments[4]); ++id)
            connect(context, arguments[2], id);
    } else {
        return 2;
    }
    context.run();
}
